"""Takes a snapshot whenever enough was applied since the last. Runs on the loop.

The state is captured there, and encoded and written in a thread of its own, while the log goes on:
a leader that wrote hundreds of megabytes between two entries would lose its lead over it. Only the
mark in the log is the disk thread's. Never touches a received snapshot.
"""

import asyncio
import logging
from collections.abc import Callable

from manager.raft.node.disk_thread import DiskThread
from manager.raft.node.duties import Duties, SnapshotPlan

logger = logging.getLogger(__name__)


SNAPSHOT_BYTES = 64 << 20
"""Bytes of commands after which a snapshot is due however few they are: they are held in memory."""


class Snapshotting:
    """At most one snapshot at a time. `interval` in entries, `max_snapshots`: older ones to keep.

    `done` is called when one has come to its end.
    """

    def __init__(
        self,
        duties: Duties,
        disk: DiskThread,
        *,
        interval: Callable[[], int],
        max_snapshots: Callable[[], int],
        done: Callable[[], None],
    ) -> None:
        self._duties = duties
        self._disk = disk
        self._interval = interval
        self._max_snapshots = max_snapshots
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self._looked_at = 0  # the entry applied last when none was due

    @property
    def busy(self) -> bool:
        """Whether one is being made, or has failed and nobody knows yet."""
        return self._task is not None

    def look(self) -> None:
        """Between two rounds: begins one if it is due; raises what the last one failed with."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if self._task is None and self._is_due() and not self._duties.outdated:
            self._task = asyncio.create_task(self._take(self._duties.plan_snapshot()))
            self._task.add_done_callback(lambda _: self._done())

    def _is_due(self) -> bool:
        applied = self._duties.applied
        if applied == self._looked_at:
            return False  # the interval cannot have changed either
        entries = applied - self._duties.snapshot_index
        if entries >= max(1, self._interval()) or self._duties.applied_bytes >= SNAPSHOT_BYTES:
            return True
        self._looked_at = applied
        return False

    async def end(self) -> None:
        """Gives up the one that is being made. What a thread does is not stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, plan: SnapshotPlan) -> None:
        metadata, older = plan.metadata, self._max_snapshots()
        await asyncio.to_thread(lambda: self._duties.disk.write_snapshot(metadata, plan.encode()))
        await self._disk.run(lambda: self._duties.disk.mark_snapshot(metadata, max_snapshots=older))
        self._duties.snapshot_kept(plan.metadata)
        logger.info("snapshot taken at entry %d", plan.metadata.index)
