"""Published ports, as all sides read them. Pure."""

import ipaddress
from collections.abc import Sequence

from api.v1 import objects_pb2, specs_pb2

Port = specs_pb2.PortConfig

PROTOCOLS = {
    Port.PROTOCOL_TCP: "tcp",
    Port.PROTOCOL_UDP: "udp",
    Port.PROTOCOL_SCTP: "sctp",
}
"""As users write them."""

CHOSEN = range(32768, 61000)
"""Where a node chooses ports of its own: `net.ipv4.ip_local_port_range`, as with Docker."""


def address_of(port: Port) -> str:
    """The one address of a host that has the port, in its usual form, or "" for all."""
    if not port.host_ip:
        return ""
    address = ipaddress.ip_address(port.host_ip)
    return "" if address.is_unspecified else str(address)


def share_an_address(one: str, other: str) -> bool:
    """Whether one host may be asked for both; addresses as of `address_of`."""
    return not one or not other or one == other


def ports_of(task: objects_pb2.Task) -> Sequence[Port]:
    """The ports that the task has of its node: as the node says, once it does, which may have
    chosen some; else as its service asks.
    """
    return task.status.container.ports or task.host_ports


def chosen_ports(task: objects_pb2.Task) -> list[Port]:
    """Those of them that its node chose: nobody named a number."""
    if not task.host_ports:
        return []
    pairs = zip(task.host_ports, task.status.container.ports, strict=False)  # in the same order
    return [has for asked, has in pairs if not asked.published_port and has.published_port]


def port_text(port: Port) -> str:
    """The port as people write it: 8080/tcp, 10.0.0.5:8080/tcp."""
    address = address_of(port)
    where = f"[{address}]:" if ":" in address else address and f"{address}:"
    return f"{where}{port.published_port}/{PROTOCOLS[port.protocol]}"
