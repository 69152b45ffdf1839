"""What a host's kernel would know of networks: what its agent was told, and has carried out.

It outlives the agent, as entries in a kernel do, and not the host.
"""

from collections.abc import Collection, Iterator
from typing import TypeAlias

from api.v1 import dispatcher_pb2, network_pb2, objects_pb2
from hostkit.clock import Clock
from manager.allocator.ipam import bare
from manager.dispatcher.catalogue import Catalogue, Item
from manager.dispatcher.networks import NodeNetworks
from manager.state.store import View
from worker.drains import Drains
from worker.network_book import Book, News
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

    def leads_to(self, task_id: str, own: Collection[str]) -> bool:
        """Whether it would lead new connections to the task, for its published ports or for
        tasks of its own in these networks.
        """
        return any(
            isinstance(item, network_pb2.NetworkEndpoint)
            and (item.task_id, item.serving) == (task_id, True)
            and (item.network_id in own or self._is_ingress(item.network_id))
            for item in self.items.values()
        )

    def _is_ingress(self, network_id: str) -> bool:
        found = self.items.get(("network", network_id))
        return isinstance(found, network_pb2.NodeNetwork) and found.ingress


class PaperNetworks(NoNetworks):
    """A host's networks, of which there is nothing but what it would know."""

    def __init__(self, node_id: str, known: KnownNetworks, monotonic: Clock) -> None:
        self._node_id = node_id
        self._known = known
        self._book = Book()
        self._book.restore(known.items.values())
        self._drains = Drains(monotonic)
        self._drains.restore(node_id, known.items.values())

    def drivers(self) -> Collection[str]:
        """As a host that can build them all."""
        return DRIVERS

    async def follow(self, message: Message) -> News:
        """As NodeNetworks; nothing is news for its disk, which has none."""
        news = self._book.follow(message)
        self._known.follow(message)
        self._drains.follow(self._node_id, news, message)
        return News()

    async def drained(self, task: objects_pb2.Task) -> None:
        """See NodeNetworks."""
        await self._drains.wait(task.id)

    async def leave(self, task_id: str) -> None:
        """See NodeNetworks."""
        self._drains.forget(task_id)


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
