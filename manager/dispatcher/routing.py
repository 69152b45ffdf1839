"""Shows what is applied to those whom it concerns: the streams of agents, and who waits for them.

One reader of the store's events serves all streams, so that the cost of an event does not grow with
the number of nodes (swarmkit#1209). Decides nothing, and writes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from api.v1 import objects_pb2
from manager.dispatcher import nodes
from manager.dispatcher.catalogue import Catalogue
from manager.dispatcher.draining import Draining
from manager.dispatcher.held_volumes import HeldVolumes
from manager.dispatcher.links import Feed, Link
from manager.dispatcher.resting import Resting
from manager.state.changes import Event
from manager.state.store import Store
from manager.state.watch import Subscription, WatchHub, of

Node = objects_pb2.Node
Network = objects_pb2.Network
Task = objects_pb2.Task
Volume = objects_pb2.Volume
_KINDS = (Task, Node, Network, Volume, objects_pb2.Service, objects_pb2.Cluster)


class Routing:
    """Of one time of leading: `begin`, then `run`, and `end`."""

    def __init__(
        self,
        store: Store,
        hub: WatchHub,
        links: Mapping[str, Link],
        *,
        catalogue: Catalogue,
        drains: Draining,
        rests: Resting,
        volumes: HeldVolumes,
        present: Callable[[], Iterable[str]],
        removed: Callable[[str], None],
    ) -> None:
        """`links`: by node, as they are at any time. `present`: nodes that have, or had, a session;
        `removed` is told of each that is gone.
        """
        self._store = store
        self._hub = hub
        self._links = links
        self._catalogue = catalogue
        self._drains = drains
        self._rests = rests
        self._volumes = volumes
        self._present = present
        self._removed = removed
        self._woken = asyncio.Event()
        self._subscription: Subscription | None = None
        self.version = 0
        """Up to which everything that changed was shown."""

    def begin(self) -> None:
        """From the state as it is."""
        self._subscription = self._hub.subscribe(self._woken.set, match=of(*_KINDS))
        self._catalogue.begin()
        self._drains.begin()
        self._rests.begin()
        self._volumes.begin()
        self.version = self._store.version

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            self.catch_up()

    def end(self) -> None:
        """Hears of nothing any more."""
        if self._subscription is not None:
            self._hub.unsubscribe(self._subscription)

    def catch_up(self) -> None:
        """Shows whatever was applied and is not shown yet."""
        commits = () if self._subscription is None else self._subscription.take()
        if commits is None:
            self._resync()
        for commit in commits or ():
            for event in commit.events:
                self._route(event, commit.version)
        # Nothing was applied since `take`: whatever is in the store was shown.
        self.version = self._store.version

    def _route(self, event: Event, version: int) -> None:
        self._catalogue.tell(self._catalogue.observe(event))
        if isinstance(event.object, Network):
            self._rests.observe(event)
        elif isinstance(event.object, Volume):
            self._volumes.route(event, version, self._feed)
        elif isinstance(event.object, Task):
            self._route_task(event.object.id, {_node_of(event.old), _node_of(event.new)})
        elif isinstance(event.object, Node | objects_pb2.Cluster):
            self._route_greeting(event)

    def _route_greeting(self, event: Event) -> None:
        if isinstance(event.object, Node):
            self._drains.heard(event.object.id)
            if event.new is None:
                self._removed(event.object.id)
            elif (link := self._links.get(event.object.id)) is not None:
                link.greet()
        if nodes.concerns_all_agents(event):
            for each in self._links.values():
                each.greet()

    def _route_task(self, task_id: str, node_ids: Iterable[str]) -> None:
        # The task as it is by now: a stream that has just begun may have told a later version
        # than that of the event.
        task = self._store.get(Task, task_id)
        for node_id in node_ids:
            if (feed := self._feed(node_id)) is not None:
                feed.observe(task_id, task)
        self._drains.observe(task_id, task)

    def _feed(self, node_id: str) -> Feed | None:
        link = self._links.get(node_id)
        return None if link is None else link.feed

    def _resync(self) -> None:
        self._catalogue.begin()
        self._drains.begin()
        self._rests.begin()
        self._volumes.resync()
        for node_id in self._present():
            if self._store.get(Node, node_id) is None:
                self._removed(node_id)
        for node_id, link in self._links.items():
            link.greet()
            if link.feed is not None:
                volumes = self._store.volumes_of_node(node_id)
                link.feed.resync(self._store.tasks_of_node(node_id), volumes)


def _node_of(obj: object) -> str:
    return obj.node_id if isinstance(obj, Task) else ""
