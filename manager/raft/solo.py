"""The log of a group of one manager: an entry is committed once it is on this manager's disk.

Obeys the same order of duties as a Raft node does with a Ready: append and sync, then apply, then
answer. Everything that waits while one sync is under way shares the next (group commit), up to
ROUND_BYTES. A failed write ends it for good: what is on the disk then is unknown, and only a new
start finds out.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from api.errors import Code, SwarmError, invalid
from api.v1 import raft_pb2
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.machine import StateMachine

logger = logging.getLogger(__name__)
R = TypeVar("R")

SOLE_MEMBER = 1
KEPT_ENTRIES = 500
"""Entries kept below a snapshot, for managers that will join and lag a little (SwarmKit: 500)."""
ROUND_BYTES = 16 << 20
"""Bytes of entries in one write: far below what the log takes in one piece (MAX_RECORD_BYTES)."""
ENTRY_BYTES = 64 << 20
"""Bytes of one entry. Larger ones are refused here, where only their proposer suffers for it."""


@dataclass(slots=True)
class _Waiting:
    data: bytes
    local: object | None
    done: asyncio.Future[object]


class Solo:
    """Appends for one manager. Start it with `recover`, then keep `run` running."""

    def __init__(
        self,
        wal: Wal,
        snapshots: SnapshotStore,
        machine: StateMachine,
        *,
        snapshot_interval: Callable[[], int],
    ) -> None:
        self._wal = wal
        self._snapshots = snapshots
        self._machine = machine
        self._snapshot_interval = snapshot_interval
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="wal")
        self._hard_state = raft_pb2.HardState(term=1, vote=SOLE_MEMBER)
        self._applied = 0
        self._snapshot_index = 0
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._failure: SwarmError | None = None
        self._snapshot: asyncio.Task[None] | None = None

    @property
    def applied(self) -> int:
        """The index of the last applied entry."""
        return self._applied

    def recover(self, recovered: Recovered) -> None:
        """Rebuilds the state from the snapshot and the entries that a former run left."""
        snapshot = self._snapshots.restore(recovered.snapshot)
        if snapshot is not None:
            self._machine.restore(snapshot.data)
            self._applied = self._snapshot_index = snapshot.metadata.index
        if recovered.hard_state.term:
            self._hard_state.CopyFrom(recovered.hard_state)
        for entry in recovered.entries:
            if entry.index > self._applied:
                self._apply(entry, None)

    async def append(self, data: bytes, local: object | None = None) -> object:
        """Makes `data` the next entry; returns the state machine's answer once it is durable.

        SwarmError UNAVAILABLE after a failed write: the entry may or may not be on the disk.
        INVALID, and nothing was written, if it is too large.
        """
        if len(data) > ENTRY_BYTES:
            raise invalid("entry", f"an entry of {len(data)} bytes is too large for the log")
        if self._failure is not None:
            raise self._failure
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(data, local, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Serves appends until cancelled; SwarmError UNAVAILABLE once the disk has failed."""
        try:
            while True:
                await self._wake.wait()
                await self._commit(self._next_round())
                self._look_after_snapshot()
        except OSError as error:
            self._fail(error)
            raise _stopped(error) from error
        finally:
            self._fail(None)
            if self._snapshot is not None:
                self._snapshot.cancel()
                await asyncio.gather(self._snapshot, return_exceptions=True)
            self._disk.shutdown(wait=True)

    def _next_round(self) -> Sequence[_Waiting]:
        """What is written next, at least one; the rest waits for the round after it."""
        size = count = 0
        for waiting in self._waiting:
            size += len(waiting.data)
            if count and size > ROUND_BYTES:
                break
            count += 1
        round_, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._wake.clear()
        return round_

    async def _commit(self, round_: Sequence[_Waiting]) -> None:
        if not round_:
            return
        term = self._hard_state.term
        entries = [
            raft_pb2.Entry(term=term, index=self._applied + offset, data=waiting.data)
            for offset, waiting in enumerate(round_, start=1)
        ]
        try:
            await self._on_disk(lambda: self._wal.save(self._hard_state, entries, sync=True))
            for entry, waiting in zip(entries, round_, strict=True):
                _answer(waiting, self._apply(entry, waiting.local))
        except BaseException as error:
            lost = _stopped(error)
            for waiting in round_:
                _answer(waiting, lost)
            raise

    def _apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
        result = self._machine.apply(entry, local)
        self._applied = entry.index
        self._hard_state.commit = entry.index
        return result

    def _look_after_snapshot(self) -> None:
        """Begins a snapshot when one is due, and fails with one that failed."""
        if self._snapshot is not None and self._snapshot.done():
            done, self._snapshot = self._snapshot, None
            done.result()
        due = self._applied - self._snapshot_index >= self._snapshot_interval()
        if due and self._snapshot is None:
            self._snapshot = asyncio.create_task(self._take_snapshot())
            self._snapshot.add_done_callback(lambda _: self._wake.set())

    async def _take_snapshot(self) -> None:
        metadata = raft_pb2.SnapshotMetadata(
            index=self._applied,
            term=self._hard_state.term,
            conf=raft_pb2.ConfState(voters=[SOLE_MEMBER]),
        )
        # Seconds of work in a large cluster: appends go on meanwhile, only the write holds them up.
        data = await asyncio.to_thread(self._machine.capture())

        def write() -> None:
            self._snapshots.save(raft_pb2.Snapshot(metadata=metadata, data=data))
            self._wal.mark_snapshot(metadata)
            self._wal.compact(max(0, metadata.index - KEPT_ENTRIES))
            self._snapshots.prune(keep=1)

        await self._on_disk(write)
        self._snapshot_index = metadata.index
        logger.info("snapshot taken at entry %d", metadata.index)

    async def _on_disk(self, work: Callable[[], R]) -> R:
        # Shielded: a cancelled run must not leave a write half known.
        running = asyncio.get_running_loop().run_in_executor(self._disk, work)
        return await asyncio.shield(running)

    def _fail(self, error: OSError | None) -> None:
        if self._failure is None:
            self._failure = _stopped(error)
        for waiting in self._waiting:
            _answer(waiting, self._failure)
        self._waiting = []


def _answer(waiting: _Waiting, result: object) -> None:
    if waiting.done.done():
        return
    if isinstance(result, SwarmError):
        waiting.done.set_exception(result)
    else:
        waiting.done.set_result(result)


def _stopped(error: BaseException | None) -> SwarmError:
    if isinstance(error, OSError):
        return SwarmError(
            Code.UNAVAILABLE,
            "this manager cannot write its log any more",
            why=str(error),
            remedy="look after the disk, then restart swarmd",
        )
    return SwarmError(Code.UNAVAILABLE, "this manager is stopping", remedy="try again")
