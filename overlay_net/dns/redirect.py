"""The rule that brings what a container sends to 127.0.0.11:53 to our sockets. Pure: as text, and
as the same in messages, which take a tenth of the CPU and no context of libnftables.

Our sockets have other ports, so that a container may bind port 53 itself.
"""

import ipaddress
from pathlib import Path
from typing import Protocol

from hostkit.netlink_message import Message
from overlay_net import nf_expressions as nf
from overlay_net.dns.resolv import SERVER
from overlay_net.nfnetlink import DESTINATIONS, IPV4, OUTPUT, Table

TABLE = "swarm_dns"
_PORT = 53


class Leading(Protocol):
    """Makes the rule within the network namespace of a file."""

    def lead(self, target: Path, udp: int, tcp: int, /) -> None:
        """To these ports of ours. SwarmError if the kernel refuses. May block for a moment."""


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


def messages(udp: int, tcp: int) -> list[Message]:
    """The transaction that does the same."""
    table, server = Table(TABLE, IPV4), ipaddress.ip_address(SERVER).packed
    made = [table.begin(), table.end(), table.begin()]
    made.append(table.hooked("output", "nat", OUTPUT, DESTINATIONS))
    for protocol, port in ((nf.UDP, udp), (nf.TCP, tcp)):
        asked = nf.goes_to(protocol, server, _PORT)
        made.append(table.rule("output", asked, nf.lead_to_port(server, port)))
    return made
