"""What a host's kernel would know of networks: what its agent was told, and has carried out.

It outlives the agent, as entries in a kernel do, and not the host.
"""

from collections.abc import Collection, Iterator
from typing import TypeAlias

from api.v1 import dispatcher_pb2, network_pb2
from manager.allocator.ipam import bare
from manager.dispatcher.catalogue import Catalogue, Item
from manager.dispatcher.networks import NodeNetworks
from manager.state.store import View
from worker.network_book import News
from worker.node_networks import DRIVERS, NoNetworks

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Key: TypeAlias = tuple[str, ...]


class KnownNetworks:
    """Items by what tells them apart. `version`: of the last state that is known whole."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.version = 0

    def follow(self, message: Message) -> None:
        """Carries a message out."""
        kept = {} if message.type == Message.TYPE_COMPLETE else self.items
        for change in message.changes:
            item = item_of(change)
            if item is None:
                continue
            key = _key(item)
            if change.action == Change.ACTION_REMOVE:
                kept.pop(key, None)
            elif not _is_outline(item):
                kept[key] = item
            elif key in self.items:
                kept[key] = self.items[key]
        self.items = kept
        self.version = max(self.version, message.version)

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Where it would send what is meant for tasks."""
        for item in self.items.values():
            if isinstance(item, network_pb2.NetworkEndpoint):
                yield from ((item.network_id, bare(text)) for text in item.addresses)


class PaperNetworks(NoNetworks):
    """A host's networks, of which there is nothing but what it would know."""

    def __init__(self, known: KnownNetworks) -> None:
        self._known = known

    def drivers(self) -> Collection[str]:
        """As a host that can build them all."""
        return DRIVERS

    async def follow(self, message: Message) -> News:
        """As NodeNetworks; nothing is news for its disk, which has none."""
        self._known.follow(message)
        return News()


def right(view: View, node_id: str) -> dict[Key, Item]:
    """What the node is to know in this state."""
    catalogue = Catalogue(view)
    catalogue.begin()
    forms = NodeNetworks(catalogue).begin(view.tasks_of_node(node_id))
    items = [item_of(whole) for whole, _ in forms]
    return {_key(item): item for item in items if item is not None}


def item_of(change: Change) -> Item | None:
    """What the change says of networks, if it does."""
    for name in ("network", "endpoint", "service", "peer"):
        if change.HasField(name):
            item: Item = getattr(change, name)
            return item
    return None


def _key(item: Item) -> Key:
    if isinstance(item, network_pb2.NodeNetwork):
        return ("network", item.id)
    if isinstance(item, network_pb2.NetworkPeer):
        return ("peer", item.node_id)
    if isinstance(item, network_pb2.NetworkService):
        return ("service", item.network_id, item.service_id)
    return ("endpoint", item.network_id, item.task_id)


def _is_outline(item: Item) -> bool:
    if isinstance(item, network_pb2.NetworkEndpoint):
        return not item.addresses
    if isinstance(item, network_pb2.NetworkPeer):
        return not item.data_path_address
    return not item.name
