"""Statuses on their way to the managers: first to disk, then in batches to whoever leads.

A lone status goes at once; those that come up while a call is under way go together in the next.
Of two for one task the later stands. What a call did not acknowledge is kept, over sessions and
restarts, and sent again. Decides nothing about tasks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from api.errors import SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from worker.storage import Storage

log = logging.getLogger(__name__)

TaskStatus = objects_pb2.TaskStatus
Update = dispatcher_pb2.TaskStatusUpdate
Send = Callable[[list[Update]], Awaitable[None]]

MAX_BATCH = 1000
"""Statuses in one call."""


class Reporter:
    """Takes statuses in, keeps them, and gives them out to the session that there is."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._unsaved: dict[str, TaskStatus] = {}
        self._unsent: dict[str, TaskStatus] = {}
        self._something_unsaved = asyncio.Event()
        self._something_unsent = asyncio.Event()

    def restore(self, statuses: Mapping[str, TaskStatus]) -> None:
        """Takes up statuses that are on disk and were never acknowledged."""
        self._unsent.update(statuses)
        self._something_unsent.set()

    def report(self, task_id: str, status: TaskStatus) -> None:
        """A status was observed. It belongs to the reporter from now on."""
        self._unsaved[task_id] = status
        self._something_unsaved.set()

    def forget(self, task_ids: Iterable[str]) -> None:
        """The tasks are no longer assigned: nobody wants to hear of them."""
        for task_id in task_ids:
            self._unsaved.pop(task_id, None)
            self._unsent.pop(task_id, None)

    async def save(self) -> None:
        """Writes statuses to disk until it is cancelled, with or without a session.

        A status is on disk before it is sent, so that a task which was reported as ended does not
        start again after a crash. On a full disk it is sent all the same: only so will the
        managers let go of tasks, and room be made.
        """
        while True:
            await self._something_unsaved.wait()
            self._something_unsaved.clear()
            batch = dict(self._unsaved)
            try:
                await self._storage.record(batch)
            except SwarmError as error:
                log.warning("%d statuses would be lost in a crash: %s", len(batch), error)
            for task_id, status in batch.items():
                # Meanwhile it may have been forgotten, or moved on; then the later one follows.
                if task_id in self._unsaved:
                    self._unsent[task_id] = status
                if self._unsaved.get(task_id) is status:
                    del self._unsaved[task_id]
            self._something_unsent.set()

    async def deliver(self, send: Send) -> None:
        """Sends what is not acknowledged until `send` fails, whose error it passes on."""
        # A former session may have been cut off between the taking and the sending.
        self._something_unsent.set()
        while True:
            await self._something_unsent.wait()
            batch = dict(list(self._unsent.items())[:MAX_BATCH])
            if not batch:
                self._something_unsent.clear()
                continue
            await send([Update(task_id=task_id, status=s) for task_id, s in batch.items()])
            for task_id, status in batch.items():
                if self._unsent.get(task_id) is status:
                    del self._unsent[task_id]
            try:
                await self._storage.acknowledge(batch)
            except SwarmError as error:
                log.warning("acknowledged statuses will be sent again after a restart: %s", error)
