"""What the core reads its persisted state from, and the one that keeps it in memory.

The core only ever reads. Whoever obeys its Ready makes things durable first and then writes them
here; `MemoryStorage` itself never touches a disk.

Invariants of `MemoryStorage`: the entries' indexes are consecutive and begin right after
(index, term) of the point of compaction, whose term stays known; the snapshot is never replaced by
an older one, and reaches at least as far as that point whenever it was compacted by the rules.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from api.v1.raft_pb2 import ConfState, Entry, HardState, Member, Snapshot, SnapshotMetadata
from manager.raft.core.errors import (
    CompactedError,
    InvariantError,
    SnapshotOutOfDateError,
    UnavailableError,
)

ENTRY_OVERHEAD = 24
"""Bytes that an entry takes in a message beside its data, at most: tags, lengths, term, index.

Varints of terms and indexes below 2**42, which at a million entries a second last 50 days and at
ours for ever.
"""


class Storage(Protocol):
    """The persisted log. Indexes count from 1; an entry or message handed out is never mutated."""

    def initial_state(self) -> tuple[HardState, ConfState]:
        """Hard state and configuration to start from; both empty if there are none."""

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """The entries of [low, high) as far as they fit, but at least the first of them.

        CompactedError if `low` is gone, UnavailableError if the log ends before `high`.
        """

    def term(self, index: int) -> int:
        """The term of an entry in [first_index() - 1, last_index()]; else as `entries`."""

    def first_index(self) -> int:
        """The index of the first entry that may be held; what is before it is in the snapshot."""

    def last_index(self) -> int:
        """The index of the last entry; first_index() - 1 if there is none."""

    def snapshot(self) -> Snapshot:
        """The newest snapshot. SnapshotTemporarilyUnavailableError if it is not at hand."""


def payload_size(entries: Iterable[Entry]) -> int:
    """Bytes of data in the entries."""
    return sum([len(entry.data) for entry in entries])


def message_size(entries: Iterable[Entry]) -> int:
    """Bytes that the entries take in a message: the measure of `limit_size`."""
    return sum([len(entry.data) + ENTRY_OVERHEAD for entry in entries])


def limit_size(entries: list[Entry], max_bytes: int) -> list[Entry]:
    """As many of the first entries as fit into `max_bytes`, but at least one if there is one."""
    total = 0
    for count, entry in enumerate(entries):
        total += len(entry.data) + ENTRY_OVERHEAD
        if total > max_bytes and count:
            return entries[:count]
    return entries


class MemoryStorage:
    """A `Storage` in memory. Not for use by several threads at once."""

    __slots__ = ("_entries", "_hard_state", "_offset", "_offset_term", "_snapshot")

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        self._offset = 0  # the entry before the first: compacted, yet its term is known
        self._offset_term = 0
        self._entries: list[Entry] = []

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state set last, and the configuration of the snapshot."""
        return self._hard_state, self._snapshot.metadata.conf

    def entries(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """As the protocol says."""
        if low <= self._offset:
            raise CompactedError(f"entry {low} is compacted, the log begins at {self._offset + 1}")
        if high > self.last_index() + 1:
            raise UnavailableError(f"entry {high - 1} is beyond the last, {self.last_index()}")
        start = self._offset + 1
        return limit_size(self._entries[low - start : high - start], max_bytes)

    def term(self, index: int) -> int:
        """As the protocol says."""
        position = index - self._offset - 1
        if position >= len(self._entries):
            raise UnavailableError(f"entry {index} is beyond the last, {self.last_index()}")
        if position >= 0:
            return self._entries[position].term
        if position == -1:
            return self._offset_term
        raise CompactedError(f"entry {index} is compacted, the log begins at {self._offset + 1}")

    def first_index(self) -> int:
        """As the protocol says."""
        return self._offset + 1

    def last_index(self) -> int:
        """As the protocol says."""
        return self._offset + len(self._entries)

    def snapshot(self) -> Snapshot:
        """The newest snapshot; an empty one, of index 0, if there was none yet."""
        return self._snapshot

    def set_hard_state(self, hard_state: HardState) -> None:
        """Takes over the hard state."""
        self._hard_state = hard_state

    def append(self, entries: Sequence[Entry]) -> None:
        """Takes over consecutive entries, in place of all from their first index on.

        Those that are already compacted are passed over. InvariantError if they leave a gap.
        """
        if not entries:
            return
        first, start = entries[0].index, self._offset + 1
        if first > self.last_index() + 1:
            raise InvariantError(f"entry {first} leaves a gap after entry {self.last_index()}")
        if entries[-1].index < start:
            return
        if first < start:
            entries = entries[start - first :]
            first = start
        self._entries[first - start :] = entries

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Restarts the log behind a received snapshot; SnapshotOutOfDateError if it is old."""
        self._check_newer(snapshot.metadata.index)
        self._snapshot = snapshot
        self._offset = snapshot.metadata.index
        self._offset_term = snapshot.metadata.term
        self._entries = []

    def create_snapshot(
        self,
        index: int,
        conf: ConfState,
        data: bytes = b"",
        *,
        members: Iterable[Member] = (),
        removed: Iterable[int] = (),
    ) -> Snapshot:
        """Makes, keeps and returns the snapshot of the state as applied up to `index`.

        The log stays; see `compact`. SnapshotOutOfDateError if it is not newer than the last;
        CompactedError or UnavailableError if the log does not know the index.
        """
        self._check_newer(index)
        metadata = SnapshotMetadata(
            index=index, term=self.term(index), conf=conf, members=members, removed=removed
        )
        self._snapshot = Snapshot(metadata=metadata, data=data)
        return self._snapshot

    def compact(self, index: int) -> None:
        """Forgets the entries up to and including `index`; the caller has them in a snapshot.

        CompactedError if that is done already, UnavailableError if the log ends before.
        """
        if index <= self._offset:
            raise CompactedError(f"entry {index} is compacted already")
        self._offset_term = self.term(index)
        del self._entries[: index - self._offset]
        self._offset = index

    def _check_newer(self, index: int) -> None:
        if index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDateError(
                f"snapshot {index} is not newer than {self._snapshot.metadata.index}"
            )
