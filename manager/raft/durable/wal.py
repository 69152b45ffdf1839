"""The write-ahead log: entries, hard state and snapshot marks, in segments, in one order.

What `save(..., sync=True)` took is on the disk when it returns. Nothing is overwritten in place: a
conflict is a later record. A failed write ends the log for good, since nobody knows what is on the
disk then (Rebello and others, "Can Applications Recover from fsync Failures?", 2020); only a new
`open` finds out. Calls block; one at a time. Knows nothing of Raft's roles and sends nothing.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from api.errors import Code, SwarmError, invalid
from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable import damage, record
from manager.raft.durable.disk import Disk
from manager.raft.durable.file_header import Owner
from manager.raft.durable.keyring import Keys
from manager.raft.durable.outline import Outline
from manager.raft.durable.recovery import TEMPORARY, Recovery, file_name, recover
from manager.raft.durable.segment import MAX_RECORD_BYTES, SegmentWriter

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was durable. `entries` follow the snapshot without a gap, and end at or after commit."""

    hard_state: HardState
    snapshot: SnapshotMetadata | None
    entries: list[Entry]


class Wal:
    """An open log. Each `open` begins a new segment, so that no sealing key is used by two runs."""

    def __init__(
        self, disk: Disk, owner: Owner, keys: Keys | None, found: Recovery, segment_bytes: int
    ) -> None:
        self._disk = disk
        self._owner = owner
        self._keys = keys
        self._segment_bytes = segment_bytes
        self._outline: Outline = found.outline
        self._segments = found.segments
        self._unusable = ""
        number = self._segments[-1][0] + 1 if self._segments else 1
        if found.last_is_empty:
            number, _ = self._segments.pop()
        self._writer = self._begin(number)

    @classmethod
    def open(
        cls,
        disk: Disk,
        *,
        cluster_id: str,
        node_id: str,
        keys: Keys | None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> tuple["Wal", Recovered]:
        """Reads what is there, cuts a torn tail, begins a segment.

        SwarmError: REFUSED, another cluster's or node's log; DENIED, the keys do not fit; INTERNAL,
        damage, with file and byte; UNSUPPORTED, a newer format; UNAVAILABLE, the disk fails.
        """
        owner = Owner(cluster_id, node_id)
        try:
            found = recover(disk, owner, keys)
            wal = cls(disk, owner, keys, found, segment_bytes)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the log cannot be opened",
                why=str(error),
                remedy="look after the disk and its free space, then start swarmd again",
            ) from error
        outline = found.outline
        hard_state = HardState()
        hard_state.CopyFrom(outline.hard_state)
        return wal, Recovered(hard_state, outline.snapshot, found.entries)

    def save(self, hard_state: HardState | None, entries: Sequence[Entry], *, sync: bool) -> None:
        """Appends entries, then the hard state, as one record: all of it survives, or none.

        Entries overwrite from their first index on. With `sync` this and all before it is durable
        on return. OSError: the log is unusable from now on, this call may or may not have happened.
        SwarmError INTERNAL: Raft's rules forbid it (a gap, an overwritten committed entry, a term,
        vote or commit that goes back); INVALID: too large. Then nothing was written.
        """
        self._check_usable()
        self._outline.check(entries, hard_state)
        if entries or hard_state is not None:
            payload = record.encode(entries, hard_state)
            if len(payload) > MAX_RECORD_BYTES:
                what = f"a save of {len(payload)} bytes is over the limit of {MAX_RECORD_BYTES}"
                raise invalid("entries", what, remedy="save fewer entries at a time")
            with self._writing():
                self._append(payload, sync=sync)
            self._outline.save(entries, hard_state)
            if entries:
                self._segments[-1] = self._writer.number, entries[-1].index
        elif sync:
            with self._writing():
                self._sync()

    def mark_snapshot(self, metadata: SnapshotMetadata) -> None:
        """Records that the state up to `metadata.index` is in a durable snapshot file; synced.

        If the log does not hold that entry (the snapshot came from the leader), it starts anew
        behind it. The commit index is at least that of the snapshot from now on. Errors as `save`.
        """
        self._check_usable()
        anew = self._outline.check_mark(metadata)
        with self._writing():
            self._append(record.encode(snapshot=metadata, anew=anew), sync=True)
        self._outline.mark(metadata, anew=anew)

    def compact(self, index: int) -> None:
        """Removes the oldest segments that hold only entries up to `index`.

        SwarmError INTERNAL if no marked snapshot covers `index`; errors else as `save`.
        """
        self._check_usable()
        snapshot = self._outline.snapshot
        if snapshot is None or index > snapshot.index:
            raise damage.broken(f"no snapshot covers the entries up to {index} to be dropped")
        with self._writing():
            while len(self._segments) > 1 and self._segments[0][1] <= index:
                number, _ = self._segments.pop(0)
                self._disk.remove(file_name(number))
                # One at a time, the oldest first: a crash must not leave a hole.
                self._disk.fsync_dir()

    def roll(self) -> None:
        """Begins a new segment, sealed under the newest key. Errors as `save`."""
        self._check_usable()
        with self._writing():
            self._roll()

    def close(self) -> None:
        """Makes everything durable and ends the use of this log; without effect after a failure."""
        if self._unusable:
            return
        with self._writing():
            self._sync()
            self._disk.close(file_name(self._writer.number))
        self._unusable = "it is closed"

    def _check_usable(self) -> None:
        if self._unusable:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the log takes no more writes",
                why=self._unusable,
                remedy="look after the disk, then start swarmd again",
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Around every disk operation: one that does not return normally is the last."""
        self._unusable = "an earlier write was interrupted"
        try:
            yield
        except OSError as error:
            self._unusable = f"an earlier write failed: {error}"
            logger.critical("the log is unusable from now on, a write failed: %s", error)
            raise
        self._unusable = ""

    def _append(self, payload: bytes, *, sync: bool) -> None:
        writer = self._writer
        if writer.holds_saves and writer.size_with(payload) > self._segment_bytes:
            self._roll()
        self._disk.append(file_name(self._writer.number), self._writer.frame(payload))
        if sync:
            self._sync()

    def _sync(self) -> None:
        if not self._writer.synced:
            self._disk.fdatasync(file_name(self._writer.number))
            self._writer.mark_synced()

    def _roll(self) -> None:
        # Synced first: no segment but the last may have a torn tail.
        self._sync()
        self._disk.close(file_name(self._writer.number))
        self._writer = self._begin(self._writer.number + 1)

    def _begin(self, number: int) -> SegmentWriter:
        """Makes a segment whose header and preamble are durable before it has its name."""
        outline = self._outline
        writer = SegmentWriter(self._owner, number, outline.last + 1, self._keys)
        preamble = record.encode(hard_state=outline.hard_state, snapshot=outline.snapshot)
        name = file_name(number)
        temporary = name.removesuffix(".wal") + TEMPORARY
        self._disk.create(temporary)
        self._disk.append(temporary, writer.begin(preamble))
        self._disk.fdatasync(temporary)
        self._disk.rename(temporary, name)
        self._disk.fsync_dir()
        writer.mark_synced()
        self._segments.append((number, 0))
        return writer
