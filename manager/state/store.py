"""The desired and observed state of the cluster, in memory, as the log made it.

`apply` is a pure function of the log: every manager that applied the same entries holds the same
objects. Versions are checked here, where order is settled, so a stale decision changes nothing on
any of them. Knows no disk, clock or network; what it hands out is read-only.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from api.errors import SwarmError
from api.times import seconds_of
from api.v1 import objects_pb2, raft_pb2
from manager.state.capture import Capture
from manager.state.changes import (
    KINDS,
    Action,
    Applied,
    Batch,
    Change,
    Event,
    StoredObject,
    T,
    unwrap,
)
from manager.state.indexes import (
    Names,
    ServiceIndexes,
    SlotKey,
    TaskIndexes,
    VolumeIndexes,
    has_name,
)
from manager.state.networks import PortKey, give_up
from manager.state.refusals import refusal_of

REMEMBERED_REQUESTS = 10_000
"""How many requests are known by their request_id; older ones would be carried out again."""


class View(Protocol):
    """What a decision may read. Everything that it returns is read-only."""

    @property
    def version(self) -> int:
        """The log index that the state is at."""

    def get(self, kind: type[T], object_id: str) -> T | None:
        """The object with this id."""

    def named(self, kind: type[T], name: str) -> T | None:
        """The object with this name, of a kind whose names are unique."""

    def all(self, kind: type[T]) -> Iterator[T]:
        """Every object of the kind, oldest first."""

    def count(self, kind: type[T]) -> int:
        """How many objects of the kind there are."""

    def tasks_of_service(self, service_id: str) -> list[objects_pb2.Task]:
        """Every task that was made for the service and is not reaped yet."""

    def services_of_tasks(self) -> list[str]:
        """The ids of the services that tasks were made for, also of those that are gone."""

    def tasks_of_node(self, node_id: str) -> list[objects_pb2.Task]:
        """Every task that was assigned to the node and is not reaped yet."""

    def tasks_of_slot(self, service_id: str, slot: SlotKey) -> list[objects_pb2.Task]:
        """The present task of a slot, or of a global service on a node, and its history, oldest
        first.
        """

    def tasks_of_network(self, network_id: str) -> list[objects_pb2.Task]:
        """Every task that holds an address in the network."""

    def tasks_of_port(self, key: PortKey) -> list[objects_pb2.Task]:
        """Every task that has the port of its node because the node chose it."""

    def services_of_network(self, network_id: str) -> list[objects_pb2.Service]:
        """Every service that names the network, may go back to it, or has an address in it."""

    def services_of_port(self, key: PortKey) -> list[objects_pb2.Service]:
        """Every service that publishes the port, on all nodes or on its own."""

    def tasks_of_volume(self, volume_id: str) -> list[objects_pb2.Task]:
        """Every task that was given the volume and is not reaped yet."""

    def services_of_volume(self, volume_id: str) -> list[objects_pb2.Service]:
        """Every service that names the volume, or may go back to it."""

    def volumes_of_node(self, node_id: str) -> list[objects_pb2.Volume]:
        """Every volume that the node holds, or has yet to let go."""


class Store:
    """All objects by kind and id, with their indexes. One writer; fulfils View."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._version = 0
        self._at = 0.0
        self._tables: dict[type[StoredObject], dict[str, StoredObject]] = {k: {} for k in KINDS}
        self._names = Names()
        self._tasks = TaskIndexes()
        self._services = ServiceIndexes()
        self._volumes = VolumeIndexes()
        # By kind what is to hear of each object that another takes the place of.
        self._indexed: dict[type[StoredObject], list[Callable[[Any, Any], None]]] = {
            kind: [self._names.replace] if has_name(kind) else [] for kind in KINDS
        }
        self._indexed[objects_pb2.Task].append(self._tasks.replace)
        self._indexed[objects_pb2.Service].append(self._services.replace)
        self._indexed[objects_pb2.Volume].append(self._volumes.replace)
        self._requests: dict[str, raft_pb2.AppliedRequest] = {}

    @property
    def version(self) -> int:
        """The log index of the last applied command."""
        return self._version

    @property
    def at(self) -> float:
        """When that was proposed, by its proposer's clock; 0 if nothing was."""
        return self._at

    def get(self, kind: type[T], object_id: str) -> T | None:
        """The object with this id, or None."""
        found = self._tables[kind].get(object_id)
        return found if isinstance(found, kind) else None

    def named(self, kind: type[T], name: str) -> T | None:
        """The object with this name, or None."""
        object_id = self._names.get(kind, name)
        return None if object_id is None else self.get(kind, object_id)

    def all(self, kind: type[T]) -> Iterator[T]:
        """Every object of the kind, oldest first; stays valid while the store changes."""
        for found in list(self._tables[kind].values()):
            assert isinstance(found, kind)  # noqa: S101 - tables are keyed by type
            yield found

    def count(self, kind: type[T]) -> int:
        """How many objects of the kind there are."""
        return len(self._tables[kind])

    def tasks_of_service(self, service_id: str) -> list[objects_pb2.Task]:
        """Tasks of the service, oldest first."""
        return self._tasks.by_service.get(service_id)

    def services_of_tasks(self) -> list[str]:
        """The services that have tasks, gone ones too."""
        return list(self._tasks.by_service.keys())

    def tasks_of_node(self, node_id: str) -> list[objects_pb2.Task]:
        """Tasks assigned to the node, oldest first."""
        return self._tasks.by_node.get(node_id)

    def tasks_of_slot(self, service_id: str, slot: SlotKey) -> list[objects_pb2.Task]:
        """Tasks of the slot, or of a global service on a node, oldest first."""
        return self._tasks.by_slot.get((service_id, slot))

    def tasks_of_network(self, network_id: str) -> list[objects_pb2.Task]:
        """Tasks that hold an address in the network."""
        return self._tasks.by_network.get(network_id)

    def tasks_of_port(self, key: PortKey) -> list[objects_pb2.Task]:
        """Tasks for which a node chose the port."""
        return self._tasks.by_port.get(key)

    def services_of_network(self, network_id: str) -> list[objects_pb2.Service]:
        """Services of the network."""
        return self._services.by_network.get(network_id)

    def services_of_port(self, key: PortKey) -> list[objects_pb2.Service]:
        """Services that publish the port."""
        return self._services.by_port.get(key)

    def tasks_of_volume(self, volume_id: str) -> list[objects_pb2.Task]:
        """Tasks that were given the volume, oldest first."""
        return self._tasks.by_volume.get(volume_id)

    def services_of_volume(self, volume_id: str) -> list[objects_pb2.Service]:
        """Services that name the volume."""
        return self._services.by_volume.get(volume_id)

    def volumes_of_node(self, node_id: str) -> list[objects_pb2.Volume]:
        """Volumes that the node holds."""
        return self._volumes.by_node.get(node_id)

    def applied_request(self, request_id: str) -> raft_pb2.AppliedRequest | None:
        """What the request came to, if it was applied and is still remembered."""
        return self._requests.get(request_id)

    def apply(
        self,
        index: int,
        at: Timestamp,
        batches: Sequence[Batch],
        *,
        request_id: str = "",
        object_id: str = "",
    ) -> Applied:
        """Applies one command of the log; takes over the objects in `batches`.

        `at` is the proposer's SwarmClock. A request that was applied before changes nothing and
        gets its first answer again. Indexes must grow; ValueError otherwise.
        """
        if index <= self._version:
            raise ValueError(f"entry {index} comes after {self._version} was applied")
        self._version = index
        self._at = seconds_of(at)
        known = self._requests.get(request_id) if request_id else None
        if known is not None:
            none = (None,) * len(batches)
            return Applied(known.index, none, object_id=known.object_id, repeated=True)
        results: list[SwarmError | None] = []
        events: list[Event] = []
        for each in batches:
            refusal = refusal_of(self, each)
            results.append(refusal)
            if refusal is None:
                events += [self._put(index, at, change) for change in each.changes]
        if request_id and not any(results):
            self._remember(request_id, index, object_id)
        return Applied(index, tuple(results), tuple(events), object_id)

    def capture(self) -> Capture:
        """The whole state as it is now, in the time that copying references takes."""
        objects = [obj for table in self._tables.values() for obj in table.values()]
        return Capture(self._version, objects, list(self._requests.values()))

    def restore(self, snapshot: raft_pb2.StoreSnapshot) -> None:
        """Replaces everything by the snapshot; SwarmError, and no change, if it is of a newer kind.

        UNSUPPORTED where it holds what only a later version knows.
        """
        objects = [unwrap(wrapped) for wrapped in snapshot.objects]
        self._clear()
        self._version = snapshot.index
        for obj in objects:
            self._replace(None, obj)
            self._at = max(self._at, seconds_of(obj.meta.updated_at))
        self._requests = {request.request_id: request for request in snapshot.requests}

    def adopt(self, other: "Store") -> None:
        """Replaces everything by what `other` holds, at once; `other` is not used afterwards."""
        self._version = other._version
        self._at = other._at
        self._tables = other._tables
        self._names = other._names
        self._tasks = other._tasks
        self._services = other._services
        self._volumes = other._volumes
        self._indexed = other._indexed
        self._requests = other._requests

    def _put(self, index: int, at: Timestamp, change: Change) -> Event:
        obj = change.object
        old = self._tables[type(obj)].get(obj.id)
        if change.action is Action.DELETE:
            self._replace(old, None)
            return Event(old, None)
        meta = obj.meta
        meta.version = index
        meta.updated_at.CopyFrom(at)
        meta.created_at.CopyFrom(at if old is None else old.meta.created_at)
        if isinstance(obj, objects_pb2.Network):
            give_up(obj, index)
        self._replace(old, obj)
        return Event(old, obj)

    def _replace(self, old: StoredObject | None, new: StoredObject | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        kind = type(obj)
        if new is None:
            self._tables[kind].pop(obj.id, None)
        else:
            self._tables[kind][obj.id] = new
        for replace in self._indexed[kind]:
            replace(old, new)

    def _remember(self, request_id: str, index: int, object_id: str) -> None:
        self._requests[request_id] = raft_pb2.AppliedRequest(
            request_id=request_id, index=index, object_id=object_id
        )
        if len(self._requests) > REMEMBERED_REQUESTS:
            del self._requests[next(iter(self._requests))]
