"""The part of a member's duties that blocks on the disk. Synchronous.

May run in a thread, one call at a time, `write_snapshot` beside it: it shares nothing with what the
core is used by, but for the received snapshot that `take_installer` hands over. Never sends, and
reads no clock.

A commit index that is all there is to persist is kept back until the next write, or `flush`: it is
no promise (Ongaro, figure 2: volatile). Except where a change of the configuration is committed by
it: a member that forgot that might count on voters who are gone for good.
"""

import threading
from collections.abc import Callable

from api.v1.raft_pb2 import Entry, HardState, Snapshot, SnapshotMetadata
from manager.raft.core.ready import Ready
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal

KEPT_ENTRIES = 500
"""Entries kept below a snapshot, for members that lag a little (SwarmKit: 500)."""
SAVE_BYTES = 16 << 20
"""Bytes of entries in one record of the log: far below what it takes (MAX_RECORD_BYTES)."""

Prepare = Callable[[bytes], Callable[[], None]]
"""Decodes a snapshot, in any thread, and gives what installs it: see StateMachine.prepare."""


def needs_disk(ready: Ready) -> bool:
    """Whether `persist` would write; if not, it takes next to no time."""
    return bool(ready.must_sync or ready.entries or ready.snapshot or _changes_conf(ready))


class DiskDuties:
    """What one member has on the disk. `snapshot_index` and `commit` are there already."""

    def __init__(
        self,
        wal: Wal,
        snapshots: SnapshotStore,
        prepare: Prepare,
        *,
        snapshot_index: int,
        commit: int,
    ) -> None:
        self._wal = wal
        self._snapshots = snapshots
        self._prepare = prepare
        self._marked = snapshot_index
        self._saved_commit = commit
        self._kept_back: HardState | None = None
        self._installer: Callable[[], None] | None = None
        self._writing = threading.Lock()  # one snapshot file at a time, received or own

    def persist(self, ready: Ready) -> None:
        """Makes durable what this Ready promises. OSError: the member must stop.

        A received snapshot first: it is decoded, so that none that this version cannot read ever
        counts, then saved, then marked. Then the entries that follow it, and the hard state.
        """
        if ready.snapshot is not None:
            self._receive(ready.snapshot)
        hard_state = self._kept_back if ready.hard_state is None else ready.hard_state
        if not needs_disk(ready):
            self._kept_back = hard_state
            return
        sync = ready.must_sync or _changes_conf(ready)
        *firsts, last = _portions(ready.entries)
        for portion in firsts:
            # The term must not come after its entries, and no commit index before the entry that
            # it names: so all but the last portion go with the commit index of before.
            early = None if hard_state is None else self._with_saved_commit(hard_state)
            self._wal.save(early, portion, sync=False)
        self._wal.save(hard_state, last, sync=sync)
        self._kept_back = None
        if hard_state is not None:
            self._saved_commit = hard_state.commit

    def take_installer(self) -> Callable[[], None]:
        """What puts the persisted snapshot in the state machine's place; RuntimeError if none is.

        Belongs to the thread of the core, between two calls of `persist`.
        """
        installer, self._installer = self._installer, None
        if installer is None:
            raise RuntimeError("a snapshot is installed only once it is persisted")
        return installer

    def keep_snapshot(
        self, metadata: SnapshotMetadata, data: bytes, *, max_snapshots: int = 0
    ) -> None:
        """Writes and marks a planned snapshot: both steps at once."""
        self.write_snapshot(metadata, data)
        self.mark_snapshot(metadata, max_snapshots=max_snapshots)

    def write_snapshot(self, metadata: SnapshotMetadata, data: bytes) -> None:
        """Writes a planned snapshot, which counts only once it is marked. OSError: as `persist`.

        May run in a thread of its own, beside `persist`: the log does not wait for it.
        """
        with self._writing:
            self._snapshots.save(Snapshot(metadata=metadata, data=data))

    def mark_snapshot(self, metadata: SnapshotMetadata, *, max_snapshots: int = 0) -> None:
        """Marks a written snapshot and drops what it makes superfluous.

        `max_snapshots`: older ones to keep. Without effect if a newer one was received meanwhile.
        OSError: the member must stop.
        """
        if metadata.index <= self._marked:
            return
        self._wal.mark_snapshot(metadata)
        self._marked = metadata.index
        self._saved_commit = max(self._saved_commit, metadata.index)
        self._wal.compact(max(0, metadata.index - KEPT_ENTRIES))
        self._snapshots.prune(keep=1 + max_snapshots)

    def flush(self) -> None:
        """Writes the commit index that was kept back, unsynced."""
        if self._kept_back is not None:
            self._wal.save(self._kept_back, [], sync=False)
            self._saved_commit, self._kept_back = self._kept_back.commit, None

    def _receive(self, snapshot: Snapshot) -> None:
        self._installer = self._prepare(snapshot.data)
        with self._writing:
            self._snapshots.save(snapshot)
        self._wal.mark_snapshot(snapshot.metadata)
        self._marked = self._saved_commit = snapshot.metadata.index
        self._kept_back = None

    def _with_saved_commit(self, hard_state: HardState) -> HardState:
        return HardState(term=hard_state.term, vote=hard_state.vote, commit=self._saved_commit)


def _changes_conf(ready: Ready) -> bool:
    return any(entry.type == Entry.TYPE_CONF_CHANGE for entry in ready.committed_entries)


def _portions(entries: list[Entry]) -> list[list[Entry]]:
    """The entries in portions of at most SAVE_BYTES, one entry at least; one portion at least."""
    portions: list[list[Entry]] = [[]]
    size = 0
    for entry in entries:
        size += len(entry.data)
        if size > SAVE_BYTES and portions[-1]:
            portions.append([])
            size = len(entry.data)
        portions[-1].append(entry)
    return portions
