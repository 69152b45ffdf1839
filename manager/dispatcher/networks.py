"""What one node is told of networks, and what it has yet to be told. Pure.

A node hears of the networks that its tasks are in, and always of the ingress network: of these all
endpoints and services; and while there are any, of every node, where its tunnels end. What a change
costs is proportional to the change.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from api.v1 import dispatcher_pb2, network_pb2, objects_pb2
from manager.dispatcher.catalogue import (
    NETWORK,
    PEER,
    SERVICE,
    UNDERLAY,
    Catalogue,
    Item,
    Key,
    is_known,
)
from manager.state.networks import networks_of_task

Change = dispatcher_pb2.AssignmentChange


class NodeNetworks:
    """The items of one node."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.heard: Callable[[Iterable[Key]], None] = self.changed
        """Hears what the catalogue tells; as it is, `changed` hears it."""
        self._of_task: dict[str, frozenset[str]] = {}
        self._joined: Counter[str] = Counter()
        self._told: dict[Key, Item] = {}
        self._news: dict[Key, None] = {}
        self._has_peers = False
        self._begun_at: int | None = None
        self._withdrawing: list[Key] = []
        self._withdrawn: dict[Key, int] = {}

    @property
    def news(self) -> int:
        """How many items the node may have yet to be told of."""
        return len(self._news)

    def begin(self, tasks: Iterable[objects_pb2.Task]) -> list[tuple[Change, Change]]:
        """Starts over: all items of a node with these tasks, whole and as outlines, in the order in
        which they are told. They count as told from now on.
        """
        for held in (self._of_task, self._joined, self._told, self._news, self._withdrawn):
            held.clear()
        self._has_peers, self._begun_at = False, None
        self._catalogue.enter(UNDERLAY, self)
        for task in tasks:
            self.observe(task.id, task)
        self.changed(self._catalogue.keys(self._catalogue.ingress))
        self._look_around()
        keys = sorted(self._news)
        self._news.clear()
        forms = []
        for key in keys:
            item = self._catalogue.get(key)
            if item is not None:
                self._told[key] = item
                forms.append((_change(item), _change(_outline(key))))
        return forms

    def observe(self, task_id: str, task: objects_pb2.Task | None) -> None:
        """Takes note of a task of the node as it is now; None: it is the node's no longer."""
        joined = frozenset[str]()
        if task is not None and is_known(task):
            joined = networks_of_task(task)
        before = self._of_task.pop(task_id, frozenset[str]())
        if joined:
            self._of_task[task_id] = joined
        for network_id in sorted(joined - before):
            self._joined[network_id] += 1
            if self._joined[network_id] == 1:
                self._catalogue.enter(network_id, self)
                self.changed(self._catalogue.keys(network_id))
        for network_id in sorted(before - joined):
            self._joined[network_id] -= 1
            if not self._joined[network_id]:
                del self._joined[network_id]
                self._catalogue.leave(network_id, self)
                self.changed(self._catalogue.keys(network_id))
        self._look_around()

    def hear(self, keys: Iterable[Key]) -> None:
        """Fulfils catalogue.Reader."""
        self.heard(keys)

    def close(self) -> None:
        """Hears of nothing any more."""
        for network_id in (UNDERLAY, *self._joined):
            self._catalogue.leave(network_id, self)

    def changed(self, keys: Iterable[Key]) -> None:
        """Items of the catalogue are different now, or gone."""
        for key in keys:
            if key in self._told or self._concerns(key):
                self._news[key] = None
        self._look_around()

    def updates(self) -> list[Change]:
        """What the node is to be given, which counts as told by that."""
        found = []
        for key in sorted(self._news):
            item = self._catalogue.get(key) if self._concerns(key) else None
            if item is None:
                if key not in self._told:
                    del self._news[key]
                continue
            del self._news[key]
            before = self._told.get(key)
            if before != item:
                if _serves(before) and not _serves(item):
                    self._withdrawing.append(key)
                self._told[key] = item
                found.append(_change(item))
        return found

    def removals(self) -> list[Change]:
        """What the node is to drop; call it after `updates`."""
        gone = sorted(self._news, reverse=True)
        self._news.clear()
        for key in gone:
            del self._told[key]
            self._withdrawn.pop(key, None)
        return [_removal(key) for key in gone]

    def digests(self) -> dict[str, bytes]:
        """What the node is to know, as digests, by network; UNDERLAY: of the other nodes."""
        underlay = {UNDERLAY} if self._has_peers else set[str]()
        known = underlay | {self._catalogue.ingress, *self._joined} - {""}
        found = {each: self._catalogue.digest(each) for each in known}
        return {each: summed for each, summed in found.items() if summed is not None}

    def sent(self, version: int) -> bool:
        """What was given so far goes out as this version. Whether an endpoint serves no more by it,
        or may have been served by what the node knew before.
        """
        is_first = self._begun_at is None
        if is_first:
            self._begun_at = version
        fresh, self._withdrawing = self._withdrawing, []
        self._withdrawn.update(dict.fromkeys(fresh, version))
        return is_first or bool(fresh)

    def may_lead(self, endpoints: Iterable[Key], applied: int) -> bool:
        """Whether the node, which has carried out all up to version `applied`, may lead connections
        to one of these.
        """
        if self._begun_at is None or applied < self._begun_at:
            return True  # it may know what it was told in an earlier session
        return any(
            _serves(self._told.get(key)) or self._withdrawn.get(key, 0) > applied
            for key in endpoints
        )

    def resync(self) -> None:
        """Any item may be different."""
        self._news.update(dict.fromkeys(self._told))
        for network_id in {UNDERLAY, self._catalogue.ingress, *self._joined}:
            self.changed(self._catalogue.keys(network_id))

    def _look_around(self) -> None:
        """Wants to know all nodes from its first network on, and none after its last."""
        needs_peers = bool(self._joined or self._catalogue.ingress)
        if needs_peers != self._has_peers:
            self._has_peers = needs_peers
            self._news.update(dict.fromkeys(self._catalogue.keys(UNDERLAY)))

    def _concerns(self, key: Key) -> bool:
        if key.network_id == UNDERLAY:
            return self._has_peers
        return key.network_id == self._catalogue.ingress or key.network_id in self._joined


def _serves(item: Item | None) -> bool:
    return isinstance(item, network_pb2.NetworkEndpoint) and item.serving


def _outline(key: Key) -> Item:
    """The item as far as a node needs it that holds it already."""
    if key.kind == NETWORK:
        return network_pb2.NodeNetwork(id=key.id)
    if key.kind == PEER:
        return network_pb2.NetworkPeer(node_id=key.id)
    if key.kind == SERVICE:
        return network_pb2.NetworkService(network_id=key.network_id, service_id=key.id)
    return network_pb2.NetworkEndpoint(network_id=key.network_id, task_id=key.id)


def _change(item: Item) -> Change:
    return _filled(Change(action=Change.ACTION_UPDATE), item)


def _removal(key: Key) -> Change:
    return _filled(Change(action=Change.ACTION_REMOVE), _outline(key))


def _filled(change: Change, item: Item) -> Change:
    if isinstance(item, network_pb2.NodeNetwork):
        change.network.CopyFrom(item)
    elif isinstance(item, network_pb2.NetworkPeer):
        change.peer.CopyFrom(item)
    elif isinstance(item, network_pb2.NetworkService):
        change.service.CopyFrom(item)
    else:
        change.endpoint.CopyFrom(item)
    return change
