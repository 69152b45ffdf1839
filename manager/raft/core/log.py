"""The replicated log as one: the storage, and behind it what is not persisted yet.

Invariants: `applied` <= `committed` <= last index, and neither ever falls; an entry at or below
`committed` is never overwritten; entries are overwritten only from the first whose term differs
(Ongaro and Ousterhout, section 5.3). Whatever would break one of them raises InvariantError and has
changed nothing. The storage is only read.
"""

from bisect import bisect_right
from collections.abc import Sequence

from api.v1.raft_pb2 import Entry, Snapshot
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.errors import (
    CompactedError,
    InvariantError,
    UnavailableError,
)
from manager.raft.core.storage import Storage, limit_size, message_size
from manager.raft.core.unstable import Unstable


class RaftLog:
    """Begins with what the storage has, of which just its snapshot counts as committed and applied.

    Entries to apply are handed out in batches of at most `max_committed_bytes`, or one entry.
    """

    __slots__ = ("_max_committed_bytes", "applied", "committed", "storage", "unstable")

    def __init__(self, storage: Storage, *, max_committed_bytes: int = NO_LIMIT) -> None:
        self.storage = storage
        self.unstable = Unstable(storage.last_index() + 1)
        self.committed = storage.first_index() - 1
        self.applied = self.committed
        self._max_committed_bytes = max_committed_bytes

    def first_index(self) -> int:
        """The index of the first entry that may be held."""
        first = self.unstable.maybe_first_index()
        return self.storage.first_index() if first is None else first

    def last_index(self) -> int:
        """The index of the last entry, or of the snapshot if there is none."""
        last = self.unstable.maybe_last_index()
        return self.storage.last_index() if last is None else last

    def last_term(self) -> int:
        """The term of the last entry, or of the snapshot if there is none."""
        return self.term(self.last_index())

    def term(self, index: int) -> int:
        """The term of an entry in [first_index() - 1, last_index()].

        CompactedError if it lies before, UnavailableError if behind.
        """
        unstable = self.unstable
        term = unstable.maybe_term(index)
        if term is not None:
            return term
        if index >= unstable.offset:
            raise UnavailableError(f"entry {index} is beyond the last, {self.last_index()}")
        if unstable.snapshot is not None:
            raise CompactedError(f"entry {index} is compacted")
        return self.storage.term(index)

    def match_term(self, index: int, term: int) -> bool:
        """Whether the log knows the entry and it is of that term."""
        try:
            return self.term(index) == term
        except (CompactedError, UnavailableError):
            return False

    def is_up_to_date(self, last_index: int, term: int) -> bool:
        """Whether a log that ends like this is not behind ours (section 5.4.1)."""
        own = self.last_term()
        return term > own or (term == own and last_index >= self.last_index())

    def maybe_append(
        self, index: int, log_term: int, committed: int, entries: Sequence[Entry]
    ) -> int | None:
        """Takes over what a leader sent to follow (index, log_term); the last new index.

        None, and nothing done, if that entry is not in the log (section 5.3). Entries that are in
        the log already are left as they are, and so is what follows them.
        """
        if not self.match_term(index, log_term):
            return None
        last_new = index + len(entries)
        conflict = self.find_conflict(entries)
        if conflict:
            self.append(entries[conflict - index - 1 :])
        self.commit_to(min(committed, last_new))
        return last_new

    def append(self, entries: Sequence[Entry]) -> int:
        """Takes over entries in place of all from their first index on; the last index."""
        if not entries:
            return self.last_index()
        if entries[0].index <= self.committed:
            raise InvariantError(
                f"entry {entries[0].index} would be overwritten, "
                f"up to {self.committed} all is committed"
            )
        self.unstable.truncate_and_append(entries)
        return self.last_index()

    def find_conflict(self, entries: Sequence[Entry]) -> int:
        """The index of the first entry that the log has not, or of another term; 0 if none."""
        for entry in entries:
            if not self.match_term(entry.index, entry.term):
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The highest entry at or below `index` whose term is at most `term`: (index, its term).

        So whoever compares two logs skips whole terms. The term is 0 if the log does not know it:
        for `index` itself if that is out of bounds, or for the first index that is compacted.
        """
        before = self.first_index() - 1
        if not before <= index <= self.last_index():
            return index, 0
        known = range(before, index + 1)
        position = bisect_right(known, term, key=self.term)
        if position:
            found = known[position - 1]
            return found, self.term(found)
        return max(before - 1, 0), 0

    def commit_to(self, index: int) -> None:
        """Raises `committed`, never lowers it."""
        if index <= self.committed:
            return
        if index > self.last_index():
            raise InvariantError(
                f"entry {index} is said to be committed, the last is {self.last_index()}"
            )
        self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commits up to (index, term) if that is news and that very entry is in the log."""
        if index <= self.committed or term == 0 or not self.match_term(index, term):
            return False
        self.commit_to(index)
        return True

    def applied_to(self, index: int) -> None:
        """Entries up to `index` are applied."""
        if not self.applied <= index <= self.committed:
            raise InvariantError(
                f"applied up to {index}, after {self.applied}, with {self.committed} committed"
            )
        self.applied = index

    def stable_to(self, index: int, term: int) -> None:
        """Entries up to (index, term) are in the storage; no news if overwritten meanwhile."""
        self.unstable.stable_to(index, term)

    def stable_snap_to(self, index: int) -> None:
        """The received snapshot is in the storage; no news if another has come meanwhile."""
        self.unstable.stable_snap_to(index)

    def restore(self, snapshot: Snapshot) -> None:
        """A received snapshot takes the place of the whole log, and is committed."""
        if snapshot.metadata.index < self.committed:
            raise InvariantError(
                f"snapshot {snapshot.metadata.index} would undo entries, "
                f"up to {self.committed} all is committed"
            )
        self.committed = snapshot.metadata.index
        self.unstable.restore(snapshot)

    def snapshot(self) -> Snapshot:
        """The newest snapshot. SnapshotTemporarilyUnavailableError if it is not at hand."""
        return self.unstable.snapshot or self.storage.snapshot()

    def has_pending_snapshot(self) -> bool:
        """Whether a received snapshot is still to be persisted and installed."""
        return self.unstable.snapshot is not None

    def next_unstable_snapshot(self) -> Snapshot | None:
        """The snapshot to persist and install, if there is one."""
        return self.unstable.snapshot

    def has_next_unstable_entries(self) -> bool:
        """Whether there are entries to persist."""
        return bool(self.unstable.entries)

    def next_unstable_entries(self) -> list[Entry]:
        """The entries to persist."""
        return self.unstable.entries[:]

    def has_next_committed_entries(self, allow_unstable: bool) -> bool:
        """Whether there are entries to apply."""
        return not self.has_pending_snapshot() and self.applied < self._appliable(allow_unstable)

    def next_committed_entries(self, allow_unstable: bool) -> list[Entry]:
        """The next batch of entries to apply. None of them while a snapshot is to be installed.

        `allow_unstable`: also those that are not persisted yet; the caller then persists first.
        """
        if not self.has_next_committed_entries(allow_unstable):
            return []
        high = self._appliable(allow_unstable) + 1
        return self.slice(self.applied + 1, high, self._max_committed_bytes)

    def entries(self, low: int, max_bytes: int) -> list[Entry]:
        """The entries from `low` on, as far as they fit but at least one; [] behind the last.

        CompactedError if `low` is gone.
        """
        last = self.last_index()
        return self.slice(low, last + 1, max_bytes) if low <= last else []

    def slice(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """The entries of [low, high), as far as they fit, but at least the first of them.

        CompactedError if `low` is gone; InvariantError if `high` is beyond the last entry.
        """
        self._check_bounds(low, high)
        offset = self.unstable.offset
        if low >= offset or low == high:
            return limit_size(self.unstable.slice(low, high), max_bytes) if low < high else []
        stable = self._stored(low, min(high, offset), max_bytes)
        if high <= offset or len(stable) < offset - low:
            return stable
        rest = max_bytes - message_size(stable)
        more = limit_size(self.unstable.slice(offset, high), rest)
        return stable if message_size(more) > rest else stable + more

    def _stored(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        try:
            return self.storage.entries(low, high, max_bytes)
        except UnavailableError as error:
            raise InvariantError(f"the storage lost entries of [{low}, {high})") from error

    def _check_bounds(self, low: int, high: int) -> None:
        if low > high:
            raise InvariantError(f"entries of [{low}, {high}) asked for")
        if low < self.first_index():
            raise CompactedError(f"entry {low} is compacted")
        if high > self.last_index() + 1:
            raise InvariantError(
                f"entries of [{low}, {high}) asked for, the last is {self.last_index()}"
            )

    def _appliable(self, allow_unstable: bool) -> int:
        if allow_unstable:
            return self.committed
        return min(self.committed, self.unstable.offset - 1)
