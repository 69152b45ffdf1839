"""Which tasks take connections for which service, from what a node is told. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from api.v1 import network_pb2


@dataclass(frozen=True, slots=True)
class Backends:
    """Addresses without prefix length. `living`: of all tasks that are there, serving or not."""

    serving: Mapping[str, tuple[str, ...]]  # by service id, sorted
    living: frozenset[str]

    def of(self, service_id: str) -> tuple[str, ...]:
        """Who serves."""
        return self.serving.get(service_id, ())


class Gathering:
    """The backends of one network, kept up one endpoint at a time.

    One of a node that is down is not to be put, or to be dropped, whatever is said of it. What
    comes from such a node is answered all the same: one that managers do not hear may still be
    asked by clients, and lead them to tasks.

    What is asked for again is made again only of services that have changed, and is the same
    object if they have not.
    """

    def __init__(self) -> None:
        self._by_task: dict[str, tuple[str, bool, tuple[str, ...]]] = {}
        self._serving: defaultdict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        self._living: Counter[str] = Counter()
        self._sorted: dict[str, tuple[str, ...]] = {}
        self._made: Backends | None = None

    def put(self, endpoint: network_pb2.NetworkEndpoint) -> None:
        """An endpoint that is new or has changed."""
        self.drop(endpoint.task_id)
        addresses = tuple(address.partition("/")[0] for address in endpoint.addresses)
        self._by_task[endpoint.task_id] = (endpoint.service_id, endpoint.serving, addresses)
        self._living.update(addresses)
        if endpoint.serving:
            self._serving[endpoint.service_id][endpoint.task_id] = addresses
            self._sorted.pop(endpoint.service_id, None)

    def drop(self, task_id: str) -> None:
        """An endpoint that is gone, or was never there."""
        self._made = None
        service_id, serving, addresses = self._by_task.pop(task_id, ("", False, ()))
        for address in addresses:
            self._living[address] -= 1
            if not self._living[address]:
                del self._living[address]
        if serving:
            del self._serving[service_id][task_id]
            self._sorted.pop(service_id, None)

    def backends(self) -> Backends:
        """As they are now."""
        if self._made is None:
            for service_id in [id for id in self._serving if id not in self._sorted]:
                found = self._serving[service_id].values()
                if found:
                    self._sorted[service_id] = tuple(sorted(chain.from_iterable(found)))
                else:
                    del self._serving[service_id]
            self._made = Backends(dict(self._sorted), frozenset(self._living))
        return self._made
