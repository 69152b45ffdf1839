"""The part of the log that is not persisted yet: a received snapshot, and entries.

Invariants: the entries' indexes are consecutive and begin at `offset`; what lies before `offset` is
in the storage, or in the snapshot, which then ends right before it or earlier. Entries leave only
from the front, when they are persisted, or from the back, when a leader overwrites them. A list
handed out is a copy.
"""

from collections.abc import Sequence

from api.v1.raft_pb2 import Entry, Snapshot
from manager.raft.core.errors import InvariantError


class Unstable:
    """Begins empty at `offset`, the index after the storage's last."""

    __slots__ = ("entries", "offset", "snapshot")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.entries: list[Entry] = []
        self.snapshot: Snapshot | None = None

    def maybe_first_index(self) -> int | None:
        """The index after the snapshot; None without one: the storage knows."""
        return None if self.snapshot is None else self.snapshot.metadata.index + 1

    def maybe_last_index(self) -> int | None:
        """The last index; None if there is nothing here."""
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.metadata.index

    def maybe_term(self, index: int) -> int | None:
        """The term of an entry in here, or of the snapshot; None if it is not here."""
        position = index - self.offset
        if 0 <= position < len(self.entries):
            return self.entries[position].term
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            return self.snapshot.metadata.term
        return None

    def stable_to(self, index: int, term: int) -> None:
        """Entries up to (index, term) are persisted.

        No news if that very entry is not in here: it was overwritten meanwhile, or is persisted.
        """
        position = index - self.offset
        if 0 <= position < len(self.entries) and self.entries[position].term == term:
            del self.entries[: position + 1]
            self.offset = index + 1

    def stable_snap_to(self, index: int) -> None:
        """The snapshot of that index is persisted; no news if another has come meanwhile."""
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None

    def restore(self, snapshot: Snapshot) -> None:
        """A received snapshot takes the place of everything."""
        self.offset = snapshot.metadata.index + 1
        self.entries = []
        self.snapshot = snapshot

    def truncate_and_append(self, entries: Sequence[Entry]) -> None:
        """Takes over consecutive entries, in place of all from their first index on.

        That may be before `offset`, where the storage has others. InvariantError if they leave a
        gap.
        """
        position = entries[0].index - self.offset
        if position > len(self.entries):
            last = self.offset + len(self.entries) - 1
            raise InvariantError(f"entry {entries[0].index} leaves a gap after entry {last}")
        if position < 0:
            self.offset = entries[0].index
            position = 0
        self.entries[position:] = entries

    def slice(self, low: int, high: int) -> list[Entry]:
        """The entries of [low, high), all of which are in here; InvariantError if not."""
        if not self.offset <= low <= high <= self.offset + len(self.entries):
            end = self.offset + len(self.entries)
            raise InvariantError(
                f"entries of [{low}, {high}) asked of those of [{self.offset}, {end})"
            )
        return self.entries[low - self.offset : high - self.offset]
