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
