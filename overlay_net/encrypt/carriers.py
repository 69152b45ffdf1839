"""Finds what can carry a WireGuard device on this host."""

import shutil
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.netlink import Netlink
from overlay_net.encrypt import kernel
from overlay_net.encrypt.driver import Driver
from overlay_net.encrypt.userspace import PROGRAM, WireguardGo

_PROBE = "-probe"
_IPV6 = Path("/proc/sys/net/ipv6")
_TUN = Path("/dev/net/tun")


def find(host: Netlink, path: str, device: str, group: str) -> Driver:
    """The kernel, which is known once a device was made; else wireguard-go. UNSUPPORTED if there is
    neither. `host`: a socket in the namespace of file `path`; `group`: wireguard-go's.
    """
    if not _IPV6.is_dir():
        raise _cannot("the kernel has no IPv6", "start it without ipv6.disable=1")
    if kernel.is_there(host, device + _PROBE):
        return kernel.KernelWireguard(device, host, path)
    program = shutil.which(PROGRAM)
    if program is None:
        why = f"the kernel has no WireGuard, and {PROGRAM} is not installed"
        raise _cannot(why, f"load the module wireguard, or install {PROGRAM}")
    if not _TUN.exists():
        raise _cannot(f"{PROGRAM} needs {_TUN}, which is not there", "load the module tun")
    return WireguardGo(device, path, program, group)


def _cannot(why: str, remedy: str) -> SwarmError:
    return SwarmError(Code.UNSUPPORTED, "no encrypted networks", why=why, remedy=remedy)
