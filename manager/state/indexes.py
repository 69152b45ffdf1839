"""Secondary indexes of the store: from a key to the objects that have it. Pure bookkeeping."""

from collections.abc import Callable, Iterator, Set
from typing import Any, Generic, TypeVar

from api.v1 import objects_pb2
from manager.state.changes import StoredObject
from manager.state.networks import (
    PortKey,
    chosen_by_node,
    networks_of_service,
    networks_of_task,
    ports_of_service,
)
from manager.state.volumes import nodes_of_volume, volumes_of_service, volumes_of_task

SlotKey = int | str
"""What tells the tasks of one service apart: the number of a slot; of global ones, the node's id.
"""

K = TypeVar("K")
V = TypeVar("V")


class Index(Generic[K, V]):
    """Objects by a key that `key_of` finds; objects whose key is None are left out."""

    def __init__(self, key_of: Callable[[V], K | None], id_of: Callable[[V], str]) -> None:
        self._key_of = key_of
        self._id_of = id_of
        self._by_key: dict[K, dict[str, V]] = {}

    def replace(self, old: V | None, new: V | None) -> None:
        """Takes `old` out and puts `new` in; either may be missing."""
        old_key = None if old is None else self._key_of(old)
        new_key = None if new is None else self._key_of(new)
        if old is not None and old_key is not None and old_key != new_key:
            members = self._by_key[old_key]
            del members[self._id_of(old)]
            if not members:
                del self._by_key[old_key]
        if old is not None and old_key is not None and new is None:
            return
        if new is not None and new_key is not None:
            self._by_key.setdefault(new_key, {})[self._id_of(new)] = new

    def get(self, key: K) -> list[V]:
        """The objects with this key, oldest first."""
        return list(self._by_key.get(key, {}).values())

    def count(self, key: K) -> int:
        """How many objects have this key."""
        return len(self._by_key.get(key, ()))

    def keys(self) -> Iterator[K]:
        """The keys that any object has."""
        return iter(self._by_key)


class ManyIndex(Generic[K, V]):
    """Objects by each of the keys that `keys_of` finds."""

    def __init__(self, keys_of: Callable[[V], Set[K]], id_of: Callable[[V], str]) -> None:
        self._keys_of = keys_of
        self._id_of = id_of
        self._by_key: dict[K, dict[str, V]] = {}

    def replace(self, old: V | None, new: V | None) -> None:
        """Takes `old` out and puts `new` in; either may be missing."""
        before: Set[K] = frozenset() if old is None else self._keys_of(old)
        keys: Set[K] = frozenset() if new is None else self._keys_of(new)
        if old is not None and before:
            for key in before - keys:
                members = self._by_key[key]
                del members[self._id_of(old)]
                if not members:
                    del self._by_key[key]
        if new is not None and keys:
            for key in keys:
                self._by_key.setdefault(key, {})[self._id_of(new)] = new

    def get(self, key: K) -> list[V]:
        """The objects with this key, oldest first."""
        return list(self._by_key.get(key, {}).values())


def name_of(obj: StoredObject) -> str | None:
    """The name that is unique within the object's kind, or None for kinds without one."""
    find = _NAMES.get(type(obj))
    return None if find is None else find(obj)


_NAMES: dict[type[StoredObject], Callable[[Any], str]] = {
    objects_pb2.Service: lambda obj: obj.spec.annotations.name,
    objects_pb2.Secret: lambda obj: obj.spec.annotations.name,
    objects_pb2.Config: lambda obj: obj.spec.annotations.name,
    objects_pb2.Network: lambda obj: obj.spec.annotations.name,
    objects_pb2.Volume: lambda obj: obj.spec.annotations.name,
    objects_pb2.Operator: lambda obj: obj.name,
}


def slot_key(task: objects_pb2.Task) -> SlotKey:
    """The slot's number, or the node's id of a task without one; "" if it has neither."""
    return task.slot or task.node_id


class TaskIndexes:
    """Tasks by service, by node, by slot, by network, and by ports that nodes chose."""

    def __init__(self) -> None:
        self.by_service: Index[str, objects_pb2.Task] = Index(
            lambda t: t.service_id or None, lambda t: t.id
        )
        self.by_node: Index[str, objects_pb2.Task] = Index(
            lambda t: t.node_id or None, lambda t: t.id
        )
        self.by_slot: Index[tuple[str, SlotKey], objects_pb2.Task] = Index(
            lambda t: (t.service_id, slot_key(t)) if t.service_id else None, lambda t: t.id
        )
        self.by_network: ManyIndex[str, objects_pb2.Task] = ManyIndex(
            networks_of_task, lambda t: t.id
        )
        self.by_port: ManyIndex[PortKey, objects_pb2.Task] = ManyIndex(
            chosen_by_node, lambda t: t.id
        )
        self.by_volume: ManyIndex[str, objects_pb2.Task] = ManyIndex(
            volumes_of_task, lambda t: t.id
        )

    def replace(self, old: objects_pb2.Task | None, new: objects_pb2.Task | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        for index in (self.by_service, self.by_node, self.by_slot):
            index.replace(old, new)
        self.by_network.replace(old, new)
        self.by_port.replace(old, new)
        self.by_volume.replace(old, new)


class ServiceIndexes:
    """Services by network, by published port and by volume."""

    def __init__(self) -> None:
        self.by_network: ManyIndex[str, objects_pb2.Service] = ManyIndex(
            networks_of_service, lambda s: s.id
        )
        self.by_port: ManyIndex[PortKey, objects_pb2.Service] = ManyIndex(
            ports_of_service, lambda s: s.id
        )
        self.by_volume: ManyIndex[str, objects_pb2.Service] = ManyIndex(
            volumes_of_service, lambda s: s.id
        )

    def replace(self, old: objects_pb2.Service | None, new: objects_pb2.Service | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        self.by_network.replace(old, new)
        self.by_port.replace(old, new)
        self.by_volume.replace(old, new)


class VolumeIndexes:
    """Volumes by the nodes that hold them."""

    def __init__(self) -> None:
        self.by_node: ManyIndex[str, objects_pb2.Volume] = ManyIndex(
            nodes_of_volume, lambda v: v.id
        )

    def replace(self, old: objects_pb2.Volume | None, new: objects_pb2.Volume | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        self.by_node.replace(old, new)
