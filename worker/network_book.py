"""What the managers have told this node of networks, by key. Pure.

A COMPLETE message names all that the node is to know, an INCREMENTAL one what changes. An item
without its name is an outline: whoever holds it keeps it, and others get it whole in a later
message. An endpoint or service may come before its network, and counts as told with that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

from api.v1 import dispatcher_pb2, network_pb2

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Network = network_pb2.NodeNetwork
Peer = network_pb2.NetworkPeer
Service = network_pb2.NetworkService
Endpoint = network_pb2.NetworkEndpoint
Item: TypeAlias = Network | Peer | Service | Endpoint

T = TypeVar("T")

NETWORK, PEER, SERVICE, ENDPOINT = range(4)
"""Kinds of items, in the order in which they are taken up; what goes, goes the other way round."""
_FIELDS = ("network", "peer", "service", "endpoint")


class Key(NamedTuple):
    """What tells an item from all others. Peers are in no network."""

    kind: int
    network_id: str
    id: str

    @property
    def text(self) -> str:
        """For a place on the disk."""
        return f"{_FIELDS[self.kind]}/{self.network_id}/{self.id}"


@dataclass(frozen=True)
class News:
    """What a message changes, in the order in which it is to be carried out."""

    updated: tuple[Item, ...] = ()
    removed: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.updated or self.removed)

    def networks(self) -> frozenset[str]:
        """Those in which something changes."""
        keys = (*map(key_of, self.updated), *self.removed)
        return frozenset(key.network_id for key in keys if key.kind != PEER)

    def has_peers(self) -> bool:
        """Whether a node came, went, or is reached otherwise."""
        return any(key.kind == PEER for key in (*map(key_of, self.updated), *self.removed))


def key_of(item: Item) -> Key:
    """The key of an item, which may be an outline."""
    match item:
        case Network():
            return Key(NETWORK, item.id, item.id)
        case Peer():
            return Key(PEER, "", item.node_id)
        case Service():
            return Key(SERVICE, item.network_id, item.service_id)
        case Endpoint():
            return Key(ENDPOINT, item.network_id, item.task_id)


def item_of(change: Change) -> Item | None:
    """What a change says of networks."""
    word = change.WhichOneof("item")
    return getattr(change, word) if word in _FIELDS else None


def change_of(item: Item) -> Change:
    """The change that tells an item."""
    change = Change(action=Change.ACTION_UPDATE)
    getattr(change, _FIELDS[key_of(item).kind]).CopyFrom(item)
    return change


class Book:
    """All items that were told and not taken back."""

    def __init__(self) -> None:
        self.networks: dict[str, Network] = {}
        self.peers: dict[str, Peer] = {}
        self._services: defaultdict[str, dict[str, Service]] = defaultdict(dict)
        self._endpoints: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
        self._own: set[Key] = set()

    @property
    def has_own(self) -> bool:
        """Whether there is anything of which no manager knows."""
        return bool(self._own)

    def services(self, network_id: str) -> Mapping[str, Service]:
        """Of a network, by id."""
        return self._services.get(network_id, {})

    def endpoints(self, network_id: str) -> Mapping[str, Endpoint]:
        """Of a network, by task id."""
        return self._endpoints.get(network_id, {})

    def ingress(self) -> Network | None:
        """The network of published ports, if it was told."""
        return next((each for each in self.networks.values() if each.ingress), None)

    def copy(self) -> "Book":
        """As it is now, whatever is told later; the items are the same."""
        made = Book()
        made.networks, made.peers = dict(self.networks), dict(self.peers)
        for network_id, services in self._services.items():
            made._services[network_id] = dict(services)
        for network_id, endpoints in self._endpoints.items():
            made._endpoints[network_id] = dict(endpoints)
        return made

    def items(self, network_id: str) -> list[Item]:
        """All that was told of a network, or of the other nodes (""), by key."""
        if not network_id:
            return [self.peers[key] for key in sorted(self.peers)]
        own = self.networks.get(network_id)
        within = sorted(self._within(network_id), key=key_of)
        return within if own is None else [own, *within]

    def known(self) -> tuple[Item, ...]:
        """All that counts as told, a network before what is in it."""
        return tuple(item for each in ("", *sorted(self.networks)) for item in self.items(each))

    def follow(self, message: Message) -> News:
        """Takes in a message."""
        named: set[Key] = set()
        fresh: list[Item] = []
        gone: set[Key] = set()
        for change in message.changes:
            item = item_of(change)
            if item is None:
                continue
            named.add(key_of(item))
            if change.action == Change.ACTION_REMOVE:
                gone.add(key_of(item))
            elif not _is_outline(item):
                fresh.append(item)
        if message.type == Message.TYPE_COMPLETE:
            gone.update(self._keys() - named - self._own)
        return self._change(fresh, gone)

    def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> News:
        """Takes in, and forgets, what this node has by itself: no manager takes that back."""
        dropped, fresh = list(gone), list(items)
        self._own.difference_update(dropped)
        self._own.update(map(key_of, fresh))
        return self._change(fresh, dropped)

    def restore(self, items: Iterable[Item]) -> News:
        """Takes in what an earlier daemon knew."""
        return self._change(items, ())

    def _change(self, fresh: Iterable[Item], gone: Iterable[Key]) -> News:
        removed = tuple(key for key in sorted(gone, reverse=True) if self._drop(key))
        before = set(self.networks)
        changed = {key_of(item): item for item in fresh if self._put(item)}
        for network_id in self.networks.keys() - before:
            changed |= {key_of(item): item for item in self._within(network_id)}
        told = (changed[key] for key in sorted(changed) if self._has_place(key))
        return News(tuple(told), removed)

    def _within(self, network_id: str) -> Iterable[Item]:
        return (*self.services(network_id).values(), *self.endpoints(network_id).values())

    def _has_place(self, key: Key) -> bool:
        return key.kind == PEER or key.network_id in self.networks

    def _keys(self) -> set[Key]:
        within = (each for held in (self._services, self._endpoints) for each in held.values())
        tables: tuple[Mapping[str, Item], ...] = (self.networks, self.peers, *within)
        return {key_of(item) for table in tables for item in table.values()}

    def _put(self, item: Item) -> bool:
        """Whether that changes anything."""
        match item:
            case Network():
                return _set(self.networks, item.id, item)
            case Peer():
                return _set(self.peers, item.node_id, item)
            case Service():
                return _set(self._services[item.network_id], item.service_id, item)
            case Endpoint():
                return _set(self._endpoints[item.network_id], item.task_id, item)

    def _drop(self, key: Key) -> bool:
        """Whether it was there."""
        if key.kind in (NETWORK, PEER):
            table: dict[str, Any] = self.networks if key.kind == NETWORK else self.peers
            return table.pop(key.id, None) is not None
        held: dict[str, Any] = self._services if key.kind == SERVICE else self._endpoints
        there = held.get(key.network_id, {}).pop(key.id, None) is not None
        if not held.get(key.network_id):
            held.pop(key.network_id, None)
        return there


def _set(table: dict[str, T], key: str, value: T) -> bool:
    if table.get(key) == value:
        return False
    table[key] = value
    return True


def _is_outline(item: Item) -> bool:
    return not (item.data_path_address if isinstance(item, Peer) else item.name)
