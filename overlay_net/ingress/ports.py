"""The ports that a node publishes, from what it is told. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from api.published import PROTOCOLS, address_of, share_an_address
from api.v1 import network_pb2, specs_pb2
from overlay_net.backends import Backends

_Config = specs_pb2.PortConfig


PortKey = tuple[str, int, str]
"""Protocol, port of the host, and its one address that has it, or "" for all."""


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


def key_of(config: specs_pb2.PortConfig) -> PortKey:
    """Whose a published port is said to be."""
    port = of(config, ())
    return port.protocol, port.published, port.host_ip


def is_taken(key: PortKey, taken: Iterable[PortKey]) -> bool:
    """Whether one of these ports is the same one on an address that both have."""
    protocol, number, address = key
    return any(
        each[:2] == (protocol, number) and share_an_address(address, each[2]) for each in taken
    )


def of(config: specs_pb2.PortConfig, addresses: Iterable[str], *, sticky: bool = False) -> Port:
    """A published port with the addresses of the tasks behind it."""
    return Port(
        protocol=PROTOCOLS[config.protocol],
        published=config.published_port,
        target=config.target_port,
        backends=tuple(addresses),
        host_ip=address_of(config),
        sticky=sticky,
        hidden=config.source == _Config.SOURCE_SNAT,
    )
