"""Settings of the network stack of a namespace. Only what differs is written.

`conf/all/forwarding` of IPv6 has a side effect: the kernel then forgets what routers announce. So
devices that listened to them go on to do so.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hostkit import netns

_ROOT = Path("/proc/sys/net")
_OFF = "0"
_FORWARD6 = "ipv6/conf/all/forwarding"
_LISTENING, _LISTENING_AS_ROUTER = "1", "2"


def apply(target: Path, wished: Mapping[str, str]) -> list[str]:
    """Values by name, as `ipv4/ip_forward`, in the namespace of file `target`; what was others
    before, in words.

    A name that is not there, as of a device that is gone, is off; to switch it on is an OSError.
    """
    return netns.call_in(target, lambda: _apply(wished))


def differences(target: Path, wished: Mapping[str, str]) -> list[str]:
    """Settings that are others than wished, in words; nothing is changed."""
    return netns.call_in(target, lambda: list(_differences(wished)))


def _differences(wished: Mapping[str, str]) -> Iterator[str]:
    for name, value in wished.items():
        file = _ROOT / name
        found = file.read_text().strip() if file.exists() else _OFF
        if found != value:
            yield f"net/{name} is {found} instead of {value}"


def _apply(wished: Mapping[str, str]) -> list[str]:
    before = list(_differences(wished))
    for name, value in wished.items():
        file = _ROOT / name
        if value == _OFF and not file.exists():
            continue
        if file.read_text().strip() == value:
            continue
        if name == _FORWARD6 and value == "1":
            _keep_listening()
        file.write_text(value)
    return before


def _keep_listening() -> None:
    for file in _ROOT.glob("ipv6/conf/*/accept_ra"):
        if file.read_text().strip() == _LISTENING:
            file.write_text(_LISTENING_AS_ROUTER)
