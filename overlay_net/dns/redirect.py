"""The rule that brings what a container sends to 127.0.0.11:53 to our sockets. Pure text.

Our sockets have other ports, so that a container may bind port 53 itself.
"""

from pathlib import Path
from typing import Protocol

from overlay_net.dns.resolv import SERVER

TABLE = "swarm_dns"


class Nft(Protocol):
    """Runs nftables commands, one transaction in all, within the network namespace of a file."""

    def run(self, target: Path, text: str, /) -> None:
        """SwarmError if the kernel refuses. May block for a moment."""


def ruleset(udp: int, tcp: int) -> str:
    """Commands that put our table in place of one that may be there."""
    return f"""\
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
    chain output {{
        type nat hook output priority -100; policy accept;
        ip daddr {SERVER} udp dport 53 dnat to {SERVER}:{udp}
        ip daddr {SERVER} tcp dport 53 dnat to {SERVER}:{tcp}
    }}
}}
"""
