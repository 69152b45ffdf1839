"""Which tasks take connections for which service, from what a node is told. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from api.v1 import network_pb2


@dataclass(frozen=True, slots=True)
class Backends:
    """Addresses without prefix length. `living`: of all tasks that are there, serving or not."""

    serving: Mapping[str, tuple[str, ...]]  # by service id, sorted
    living: frozenset[str]

    def of(self, service_id: str) -> tuple[str, ...]:
        """Who serves."""
        return self.serving.get(service_id, ())


def backends(
    endpoints: Iterable[network_pb2.NetworkEndpoint], lost: Collection[str] = ()
) -> Backends:
    """Of one network. `lost`: nodes that are down: whatever is said of their tasks, they are gone.

    What comes from such a node is answered all the same: managers may not hear it, and clients yet
    ask it and are led to tasks.
    """
    serving: dict[str, list[str]] = defaultdict(list)
    living: set[str] = set()
    for endpoint in endpoints:
        if endpoint.node_id in lost:
            continue
        addresses = [address.partition("/")[0] for address in endpoint.addresses]
        living.update(addresses)
        if endpoint.serving:
            serving[endpoint.service_id] += addresses
    return Backends(
        {service: tuple(sorted(found)) for service, found in serving.items()}, frozenset(living)
    )
