"""What a container's name server ought to answer, and whether it does. Pure.

Worked out from what was told, apart from `overlay_net.dns`: the two check each other.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from api.v1 import network_pb2, specs_pb2
from overlay_net.check.finding import FIX, Finding, shown

Answers = Mapping[str, frozenset[str]]
"""Addresses by the name that is asked for."""

_FIT = 16
"""Addresses: an answer without extensions has 512 bytes, and names may be long."""


@dataclass(frozen=True)
class Told:
    """A network with its services and endpoints."""

    network: network_pb2.NodeNetwork
    services: Sequence[network_pb2.NetworkService]
    endpoints: Sequence[network_pb2.NetworkEndpoint]


def expected(networks: Iterable[Told], most: int) -> dict[str, frozenset[str]]:
    """The IPv4 addresses of services' names and of `tasks.NAME`, of so many names at most.

    Of networks that know the same name the first has it that has an address. Names of more
    addresses than fit a plain answer are left out.
    """
    found: dict[str, frozenset[str]] = {}
    for told in networks:
        if told.network.ingress:
            continue
        here: dict[str, set[str]] = {}
        for service in told.services:
            tasks = _tasks(service, told.endpoints)
            own = tasks if service.mode == specs_pb2.EndpointSpec.MODE_DNSRR else _virtual(service)
            for name in (service.name, *service.aliases):
                here.setdefault(name, set()).update(own)
                here.setdefault(f"tasks.{name}", set()).update(tasks)
        for name, addresses in here.items():
            if not found.get(name):
                found[name] = frozenset(addresses)
    plain = ((name, found[name]) for name in found if len(found[name]) <= _FIT)
    return dict(itertools.islice(plain, most))


def findings(whose: str, network: str, wished: Answers, answered: Answers) -> list[Finding]:
    """`answered` lacks names to which nothing was answered. One finding tells of all names."""
    silent = [name for name in wished if name not in answered]
    wrong = [name for name in wished if name in answered and answered[name] != wished[name]]
    found = []
    if silent:
        found.append(
            Finding(
                f"the name server of {whose} does not answer",
                network,
                "an answer within a second",
                f"none for {shown(silent)}",
                "the rule that leads 127.0.0.11:53 to it was removed, or swarmd is too busy",
                "swarmd mends the rule by itself within a minute, or at once with --fix",
                FIX,
            )
        )
    if wrong:
        found.append(
            Finding(
                f"the name server of {whose} answers what it was not told",
                network,
                shown(f"{name}: {_listed(wished[name])}" for name in wrong),
                shown(f"{name}: {_listed(answered[name])}" for name in wrong),
                "another program answers at 127.0.0.11:53, or swarmd lags behind what it was told",
                "--fix asks the managers for everything anew",
                FIX,
            )
        )
    return found


def _virtual(service: network_pb2.NetworkService) -> list[str]:
    return [address for address in service.virtual_ips if ":" not in address]


def _tasks(
    service: network_pb2.NetworkService, endpoints: Iterable[network_pb2.NetworkEndpoint]
) -> list[str]:
    return [
        address.partition("/")[0]
        for each in endpoints
        if each.service_id == service.service_id and each.serving
        for address in each.addresses
        if ":" not in address
    ]


def _listed(addresses: frozenset[str]) -> str:
    return " ".join(sorted(addresses)) or "no address"
