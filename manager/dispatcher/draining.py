"""Tasks that are to be stopped, while this manager leads: it ties what nodes know to whom to tell.

Holds no rule of its own: whom a task waits for is in drains.py.
"""

import logging
from collections.abc import Callable, Collection, Iterable

from api.v1 import objects_pb2
from manager.dispatcher import nodes
from manager.dispatcher.catalogue import Key
from manager.dispatcher.drains import Drains
from manager.dispatcher.links import Link
from manager.state.store import Store

logger = logging.getLogger(__name__)

Node = objects_pb2.Node
Task = objects_pb2.Task


class Draining:
    """`begin` first."""

    def __init__(self, store: Store, link_of: Callable[[str], Link | None]) -> None:
        """`link_of`: the open streams of a node."""
        self._store = store
        self._link_of = link_of
        self._drains = Drains(
            lambda: [node.id for node in store.all(Node)], self._may_lead, self._tell
        )

    def begin(self) -> None:
        """From the state as it is."""
        self._drains.begin(self._store.all(Task))

    def heard(self, node_id: str) -> None:
        """A node confirmed something, is down or gone."""
        self._drains.heard(node_id)

    def done_on(self, node_id: str) -> Iterable[str]:
        """The tasks of a node to which nobody leads connections any more."""
        return self._drains.done_on(node_id)

    def observe(self, task_id: str, task: Task | None) -> None:
        """Takes note of a task as it is now."""
        if late := self._drains.observe(task_id, task):
            logger.warning(
                "task %s ended before these nodes confirmed that they lead nobody to it: %s",
                task_id,
                ", ".join(late),
            )

    def _tell(self, node_id: str, task_id: str) -> None:
        link = self._link_of(node_id)
        if link is not None and link.feed is not None:
            link.feed.drain(task_id)

    def _may_lead(self, node_id: str, endpoints: Collection[Key]) -> bool:
        node = self._store.get(Node, node_id)
        if node is None or not nodes.may_act(node):
            return False
        link = self._link_of(node_id)
        return link is None or link.may_lead(endpoints)
