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
    """Objects by each of the keys that `keys_of` finds. Made for those of which most have none."""

    def __init__(self, keys_of: Callable[[V], Set[K]]) -> None:
        self._keys_of = keys_of
        self._by_key: dict[K, dict[str, V]] = {}
        self._keys: dict[str, Set[K]] = {}  # by id, of those that have any

    def replace(self, object_id: str, new: V | None) -> None:
        """Puts `new` in the place of what had the id; None: it is gone."""
        keys: Set[K] = frozenset() if new is None else self._keys_of(new)
        before = self._keys.get(object_id)
        if before:
            self._drop(object_id, before - keys)
        if new is not None and keys:
            self._keys[object_id] = keys
            for key in keys:
                self._by_key.setdefault(key, {})[object_id] = new
        elif before:
            del self._keys[object_id]

    def _drop(self, object_id: str, keys: Set[K]) -> None:
        for key in keys:
            members = self._by_key[key]
            del members[object_id]
            if not members:
                del self._by_key[key]

    def get(self, key: K) -> list[V]:
        """The objects with this key, oldest first."""
        return list(self._by_key.get(key, {}).values())


class Names:
    """Ids by kind and name, of the kinds whose names are unique."""

    def __init__(self) -> None:
        self._ids: dict[tuple[type[StoredObject], str], str] = {}

    def get(self, kind: type[StoredObject], name: str) -> str | None:
        """The id of the object with this name."""
        return self._ids.get((kind, name))

    def replace(self, old: StoredObject | None, new: StoredObject | None) -> None:
        """Takes the name of `old` out and puts that of `new` in."""
        if old is not None and (name := name_of(old)) is not None:
            self._ids.pop((type(old), name), None)
        if new is not None and (name := name_of(new)) is not None:
            self._ids[type(new), name] = new.id


def has_name(kind: type[StoredObject]) -> bool:
    """Whether names are unique within the kind."""
    return kind in _NAMES


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
        self.by_network: ManyIndex[str, objects_pb2.Task] = ManyIndex(networks_of_task)
        self.by_port: ManyIndex[PortKey, objects_pb2.Task] = ManyIndex(chosen_by_node)
        self.by_volume: ManyIndex[str, objects_pb2.Task] = ManyIndex(volumes_of_task)

    def replace(self, old: objects_pb2.Task | None, new: objects_pb2.Task | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        for index in (self.by_service, self.by_node, self.by_slot):
            index.replace(old, new)
        obj = new if new is not None else old
        if obj is not None:
            task_id = obj.id
            self.by_network.replace(task_id, new)
            self.by_port.replace(task_id, new)
            self.by_volume.replace(task_id, new)


class ServiceIndexes:
    """Services by network, by published port and by volume."""

    def __init__(self) -> None:
        self.by_network: ManyIndex[str, objects_pb2.Service] = ManyIndex(networks_of_service)
        self.by_port: ManyIndex[PortKey, objects_pb2.Service] = ManyIndex(ports_of_service)
        self.by_volume: ManyIndex[str, objects_pb2.Service] = ManyIndex(volumes_of_service)

    def replace(self, old: objects_pb2.Service | None, new: objects_pb2.Service | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        obj = new if new is not None else old
        if obj is not None:
            self.by_network.replace(obj.id, new)
            self.by_port.replace(obj.id, new)
            self.by_volume.replace(obj.id, new)


class VolumeIndexes:
    """Volumes by the nodes that hold them."""

    def __init__(self) -> None:
        self.by_node: ManyIndex[str, objects_pb2.Volume] = ManyIndex(nodes_of_volume)

    def replace(self, old: objects_pb2.Volume | None, new: objects_pb2.Volume | None) -> None:
        """Takes `old` out of every index and puts `new` in."""
        obj = new if new is not None else old
        if obj is not None:
            self.by_node.replace(obj.id, new)
