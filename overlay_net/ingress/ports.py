"""The ports that a node publishes, from what it is told. Pure."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from api.v1 import network_pb2, specs_pb2
from overlay_net.backends import Backends

_Config = specs_pb2.PortConfig

PROTOCOLS = {
    _Config.PROTOCOL_TCP: "tcp",
    _Config.PROTOCOL_UDP: "udp",
    _Config.PROTOCOL_SCTP: "sctp",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port of this node. `backends`: addresses of tasks; of a port of mode host, its own task's.

    `host_ip`: the one address of the node that has it, or "" for all. `hidden`: tasks see the node
    instead of the client. Of one number and protocol, all ports are hidden if one is.
    """

    protocol: str
    published: int
    target: int
    backends: tuple[str, ...]
    host_ip: str = ""
    sticky: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Mesh:
    """All that a node publishes; `living`: the addresses of all tasks behind it, serving or not."""

    ports: tuple[Port, ...] = ()
    living: frozenset[str] = frozenset()


def mesh(
    services: Iterable[network_pb2.NetworkService],
    found: Backends,
    own: Iterable[Port] = (),
) -> Mesh:
    """From the ingress network's services and backends, and the ports of this node's own tasks."""
    ports = [
        of(config, found.of(service.service_id), sticky=service.sticky)
        for service in services
        for config in service.ports
        if config.mode == _Config.PUBLISH_MODE_INGRESS and config.published_port
    ]
    here = tuple(own)
    living = found.living.union(*(port.backends for port in here))
    return Mesh((*ports, *here), living)


def of(config: specs_pb2.PortConfig, addresses: Iterable[str], *, sticky: bool = False) -> Port:
    """A published port with the addresses of the tasks behind it."""
    address = ipaddress.ip_address(config.host_ip) if config.host_ip else None
    return Port(
        protocol=PROTOCOLS[config.protocol],
        published=config.published_port,
        target=config.target_port,
        backends=tuple(addresses),
        host_ip="" if address is None or address.is_unspecified else str(address),
        sticky=sticky,
        hidden=config.source == _Config.SOURCE_SNAT,
    )
