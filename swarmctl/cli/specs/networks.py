"""From the texts of `network create` and `network update` to ranges of addresses. Pure; ValueError
with what to write instead. As Docker's: ranges, gateways and auxiliary addresses find their subnet
by themselves (docker/cli, cli/command/network/create.go).
"""

import ipaddress
from collections.abc import Mapping, Sequence

from api.v1 import specs_pb2


def pools(
    subnets: Sequence[str],
    *,
    gateways: Sequence[str] = (),
    ranges: Sequence[str] = (),
    aux: Mapping[str, str] | None = None,
) -> list[specs_pb2.IpamConfig]:
    """A pool for each subnet, with what lies in it."""
    made = [specs_pb2.IpamConfig(subnet=text) for text in subnets]
    if len({pool.subnet for pool in made}) < len(made):
        raise ValueError("a subnet is given twice")
    for text in ranges:
        pool = _holding(made, text, "--ip-range")
        if pool.ip_range:
            raise ValueError(f"{pool.subnet} has an ip range already, {pool.ip_range}")
        pool.ip_range = text
    for text in gateways:
        pool = _holding(made, text, "--gateway")
        if pool.gateway:
            raise ValueError(f"{pool.subnet} has a gateway already, {pool.gateway}")
        pool.gateway = text
    for name, text in (aux or {}).items():
        _holding(made, text, "--aux-address").aux_addresses[name] = text
    return made


def _holding(made: Sequence[specs_pb2.IpamConfig], text: str, flag: str) -> specs_pb2.IpamConfig:
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{flag} {text!r} is neither an address nor a range") from None
    for pool in made:
        if meant.network_address in _subnet(pool.subnet):
            return pool
    if not made:
        raise ValueError(f"{flag} needs the --subnet that it lies in")
    raise ValueError(f"{flag} {text} lies in none of the subnets")


def _subnet(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no subnet; write it as 10.0.1.0/24") from None
