"""Reads what `findings` judges, in one network namespace. It changes nothing."""

import ipaddress
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hostkit import netns
from hostkit.netlink import Netlink
from overlay_net.fabric import links
from overlay_net.nft import Nft
from overlay_net.obstacles.findings import Host, Socket, Tunnel

_LISTENING = {"tcp": "0A", "udp": "07"}  # the states of sockets that wait for anybody
_LEGACY_IN_USE = Path("/proc/thread-self/net/ip_tables_names")
_TIMEOUT = 5.0


def look(target: Path, nft: Nft) -> Host:
    """The host, or lab host, whose namespace is file `target`."""
    ruleset = nft.ask(target, "list ruleset")
    sockets, legacy = netns.call_in(target, lambda: (list(_sockets()), _legacy()))
    return Host(ruleset, legacy, sockets, list(_tunnels(target)))


def parse_sockets(protocol: str, table: str) -> Iterator[Socket]:
    """What /proc/net/{tcp,tcp6,udp,udp6} tells of sockets that wait for anybody."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENING[protocol]:
            address, _, port = fields[1].partition(":")
            yield Socket(protocol, int(port, 16), _address(address))


def _sockets() -> Iterator[Socket]:
    for protocol in _LISTENING:
        for suffix in ("", "6"):
            file = Path(f"/proc/thread-self/net/{protocol}{suffix}")
            if file.exists():
                yield from parse_sockets(protocol, file.read_text())


def _tunnels(target: Path) -> Iterator[Tunnel]:
    with Netlink.inside(target) as inside:
        for link in map(links.read_link, inside.dump(links.ask_links())):
            if link.kind == "vxlan":
                yield Tunnel(link.name, link.vni, link.port)


def _legacy() -> str:
    """Asks only where such rules are in use: asking alone makes the kernel's tables of them."""
    if not _LEGACY_IN_USE.exists() or "filter" not in _LEGACY_IN_USE.read_text().split():
        return ""
    try:
        done = subprocess.run(
            ["iptables-legacy", "-S"],  # noqa: S607 - where it is differs by system
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _address(hexadecimal: str) -> str:
    """Words of four bytes, each in the order of the machine."""
    packed = bytes.fromhex(hexadecimal)
    words = (packed[at : at + 4][::-1] for at in range(0, len(packed), 4))
    return str(ipaddress.ip_address(b"".join(words)))
