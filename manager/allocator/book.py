"""Which address is whose: the allocator's memory of the store, kept by what events change. Pure.

An owner is a task, a service, a node, or a network (of the addresses that rest in it). Each change
costs as much as the owner has addresses, whatever the size of the network.
"""

from collections.abc import Iterable
from typing import TypeAlias

from api.v1 import objects_pb2
from manager.allocator.ipam import Address, Room, parsed
from manager.state.changes import KINDS, StoredObject
from manager.state.networks import held

Owner: TypeAlias = tuple[str, str]
"""The word for a kind of objects, and the id of one."""
_Place: TypeAlias = tuple[str, Address]


class Book:
    """Rooms by network, and owners of what is taken in them."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._pools: dict[str, bytes] = {}
        self._owned: dict[Owner, frozenset[_Place]] = {}
        self._holders: dict[str, dict[Address, int]] = {}
        self.touched: dict[str, None] = {}
        """Networks whose usage has changed since somebody emptied this."""

    def room(self, network_id: str) -> Room | None:
        """What is free in a network; None while it has no subnet."""
        return self._rooms.get(network_id)

    def follow(self, obj: StoredObject) -> None:
        """An object is like this now."""
        if isinstance(obj, objects_pb2.Network):
            self._lay_out(obj)
        self._own(owner_of(obj), frozenset(_places(obj)))

    def forget(self, obj: StoredObject) -> None:
        """An object is gone, and holds nothing any more."""
        self._own(owner_of(obj), frozenset())
        if isinstance(obj, objects_pb2.Network):
            self._rooms.pop(obj.id, None)
            self._pools.pop(obj.id, None)
            self.touched.pop(obj.id, None)

    def take(
        self, owner: Owner, network_id: str, asked: Iterable[Address] = ()
    ) -> list[str] | None:
        """Addresses for the owner, one of each family of the network, with the length of their
        prefixes; None, and nothing is taken, where one of the families has none left.

        `asked`: those it is to have; None too if one of them cannot be had.
        """
        room = self._rooms.get(network_id)
        if room is None:
            return None
        wanted = {address.family: address for address in asked}
        found = [_found(room, family, wanted.get(family)) for family in room.families]
        given = [each for each in found if each is not None]
        if len(given) < len(found) or not given:
            return None
        fresh = frozenset((network_id, address) for address, _ in given)
        self._own(owner, self._owned.get(owner, frozenset()) | fresh)
        return [text for _, text in given]

    def _lay_out(self, network: objects_pb2.Network) -> None:
        pools = b"".join(pool.SerializeToString(deterministic=True) for pool in network.pools)
        if not network.pools or self._pools.get(network.id) == pools:
            return
        room = Room(network.pools)
        for address in self._holders.get(network.id, ()):
            room.take(address)
        self._rooms[network.id], self._pools[network.id] = room, pools
        self.touched[network.id] = None

    def _own(self, owner: Owner, places: frozenset[_Place]) -> None:
        before = self._owned.get(owner, frozenset())
        if places == before:
            return
        if places:
            self._owned[owner] = places
        else:
            del self._owned[owner]
        for network_id, address in places - before:
            holders = self._holders.setdefault(network_id, {})
            holders[address] = holders.get(address, 0) + 1
            if room := self._rooms.get(network_id):
                room.take(address)
                self.touched[network_id] = None
        for network_id, address in before - places:
            self._leave(network_id, address)

    def _leave(self, network_id: str, address: Address) -> None:
        holders = self._holders[network_id]
        holders[address] -= 1
        if holders[address]:
            return
        del holders[address]
        if not holders:
            del self._holders[network_id]
        if room := self._rooms.get(network_id):
            room.give(address)
            self.touched[network_id] = None


def _found(room: Room, family: int, asked: Address | None) -> tuple[Address, str] | None:
    if asked is None:
        return room.lowest(family)
    text = room.free(asked)
    return None if text is None else (asked, text)


def owner_of(obj: StoredObject) -> Owner:
    """The object as an owner."""
    return KINDS[type(obj)], obj.id


def _places(obj: StoredObject) -> Iterable[_Place]:
    if isinstance(obj, objects_pb2.Service):
        return [(each.network_id, parsed(each.address)) for each in obj.endpoint.virtual_ips]
    if isinstance(obj, objects_pb2.Network):
        return [(obj.id, parsed(each.address)) for each in obj.resting]
    if isinstance(obj, objects_pb2.Task | objects_pb2.Node):
        return [
            (each.network_id, parsed(address))
            for each in held(obj.networks)
            for address in each.addresses
        ]
    return ()
