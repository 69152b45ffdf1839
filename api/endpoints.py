"""What a service may say of how it is reached. Pure."""

import ipaddress
from collections.abc import Collection

from api.errors import invalid
from api.published import address_of, port_text, share_an_address
from api.v1 import specs_pb2

_LAST_PORT = 65535
_DNSRR = specs_pb2.EndpointSpec.MODE_DNSRR
_HOST = specs_pb2.PortConfig.PUBLISH_MODE_HOST


def check(endpoint: specs_pb2.EndpointSpec, networks: Collection[str]) -> None:
    """Refuses what has no effect, and ports that are none or are published twice.

    `networks`: what the tasks are in, as the spec names it.
    """
    if endpoint.sticky and endpoint.mode == _DNSRR:
        raise invalid(
            "endpoint.sticky",
            "a service of endpoint mode dnsrr has no virtual address at which clients could stick",
            remedy="leave out --sticky, or --endpoint-mode",
        )
    seen: dict[tuple[int, int], list[str]] = {}
    for index, port in enumerate(endpoint.ports):
        path = f"endpoint.ports[{index}]"
        _check_port(path, port)
        addresses = seen.setdefault((port.published_port, port.protocol), [])
        own = address_of(port)
        if port.published_port and any(share_an_address(own, other) for other in addresses):
            raise invalid(f"{path}.published_port", f"{port_text(port)} is published twice")
        addresses.append(own)
        _check_reach(path, port, endpoint.mode, networks)


def _check_port(path: str, port: specs_pb2.PortConfig) -> None:
    for name in ("target_port", "published_port"):
        if not 0 <= getattr(port, name) <= _LAST_PORT:
            raise invalid(f"{path}.{name}", f"{getattr(port, name)} is no port")
    if not port.target_port:
        raise invalid(f"{path}.target_port", "a target port is needed")
    if port.host_ip and not _is_address(port.host_ip):
        raise invalid(f"{path}.host_ip", f"{port.host_ip!r} is no IP address")
    if port.source and port.mode == _HOST:
        raise invalid(
            f"{path}.source",
            "a port of mode host always shows the client",
            remedy="leave source out, or use mode=ingress",
        )


def _check_reach(
    path: str,
    port: specs_pb2.PortConfig,
    mode: specs_pb2.EndpointSpec.Mode.ValueType,
    networks: Collection[str],
) -> None:
    if {"none", "host"} & set(networks):
        raise invalid(
            path,
            f"a task with network {next(iter(networks))} has no ports that could be published",
            remedy="leave out --publish: with network host it takes its ports by itself",
        )
    if mode == _DNSRR and port.mode != _HOST:
        raise invalid(
            f"{path}.mode",
            "a service of endpoint mode dnsrr has no port on every node",
            remedy="publish it with mode=host, or leave out --endpoint-mode",
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
