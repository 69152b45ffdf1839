"""The kernel settings without which a host forwards nothing for its bridges. Changes those alone.

A host that forwards IPv6 believes no router that announces itself, unless it is told to; so that it
keeps its own way out, devices that did believe them are told to.
"""

import contextlib
from pathlib import Path

from hostkit import netns

_IPV4 = Path("/proc/sys/net/ipv4/ip_forward")
_IPV6 = Path("/proc/sys/net/ipv6/conf/all/forwarding")
_DEVICES = Path("/proc/sys/net/ipv6/conf")


def allow(host: str, *, ipv6: bool) -> None:
    """In the namespace of this file; what is set already is not written again."""
    netns.call_in(host, lambda: _allow(ipv6))


def differences(host: str, *, ipv6: bool) -> list[str]:
    """Those of the settings that are not as `allow` makes them, in words; nothing is changed."""
    return netns.call_in(host, lambda: _differences(ipv6))


def _differences(ipv6: bool) -> list[str]:
    asked = (_IPV4, _IPV6) if ipv6 else (_IPV4,)
    return [
        f"{file.relative_to('/proc/sys')} is 0 instead of 1" for file in asked if _read(file) == "0"
    ]


def _allow(ipv6: bool) -> None:
    if _read(_IPV4) == "0":
        _IPV4.write_text("1", encoding="ascii")
    if ipv6 and _read(_IPV6) == "0":
        for believes in _DEVICES.glob("*/accept_ra"):
            if _read(believes) == "1":
                with contextlib.suppress(FileNotFoundError):  # the device went meanwhile
                    believes.write_text("2", encoding="ascii")
        _IPV6.write_text("1", encoding="ascii")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
