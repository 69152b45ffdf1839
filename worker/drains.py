"""Tasks of this node that are to be stopped, until nobody is led to them any more.

Other nodes lead connections to a task until they are told that it serves no more, and have carried
that out; managers say when (manager/dispatcher/drains.py). Until then it goes on serving, so that
a rolling update fails no request. Nobody who is silent holds that up for longer than LIMIT.
"""

import asyncio
import logging
from collections.abc import Iterable

from api.v1 import dispatcher_pb2, network_pb2
from hostkit.clock import Clock
from worker.network_book import ENDPOINT, News

log = logging.getLogger(__name__)

LIMIT = 5.0
"""Seconds from the word that a task serves no more to its stop, at most."""
ON_THE_WAY = 0.1
"""Seconds in which packets arrive that were led to a task before; a busy host's kernel holds some
back for a while, and a task that has closed its port would refuse them.
"""

Endpoint = network_pb2.NetworkEndpoint


class Drains:
    """Of the tasks of a node: which served, and which serve no more, since when. Nobody is led to a
    container that is of no service.
    """

    def __init__(self, monotonic: Clock) -> None:
        self._monotonic = monotonic
        self._serving: set[str] = set()
        self._since: dict[str, float] = {}
        self._drained: dict[str, asyncio.Event] = {}

    def restore(self, node_id: str, items: Iterable[object]) -> None:
        """Goes on with what an earlier daemon knew of networks. What served no more may have been
        about to be stopped.
        """
        self.clear()
        for each in items:
            if isinstance(each, Endpoint) and each.node_id == node_id and each.service_id:
                self._serving.add(each.task_id)
                self._note(each)

    def follow(self, node_id: str, news: News, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """What the managers say, and what changes by it."""
        for key in news.removed:
            if key.kind == ENDPOINT:
                self.forget(key.id)
        for item in news.updated:
            if isinstance(item, Endpoint) and item.node_id == node_id and item.service_id:
                self._note(item)
        for change in message.changes:
            drained = self._drained.get(change.drained.task_id)
            if drained is not None:
                drained.set()

    async def wait(self, task_id: str) -> None:
        """Returns once nobody is led to the task any more; at once if nobody ever was."""
        if task_id not in self._since:
            return
        left = self._since[task_id] + LIMIT - self._monotonic()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                await self._drained[task_id].wait()
        except TimeoutError:
            log.warning(
                "task %s is stopped, though not every node has confirmed within %g s that it leads "
                "nobody there any more",
                task_id,
                LIMIT,
            )
        else:
            await asyncio.sleep(ON_THE_WAY)

    def forget(self, task_id: str) -> None:
        """The task has ended, or is in no network any more."""
        self._serving.discard(task_id)
        self._since.pop(task_id, None)
        if (drained := self._drained.pop(task_id, None)) is not None:
            drained.set()

    def clear(self) -> None:
        """There are no tasks any more."""
        for task_id in [*self._serving, *self._drained]:
            self.forget(task_id)

    def _note(self, endpoint: Endpoint) -> None:
        task_id = endpoint.task_id
        if endpoint.serving:
            self._serving.add(task_id)
            self._since.pop(task_id, None)
            self._drained.pop(task_id, None)
        elif task_id in self._serving and task_id not in self._since:
            self._since[task_id] = self._monotonic()
            self._drained[task_id] = asyncio.Event()
