"""The log without its entries' data: where it begins and ends, terms, hard state, snapshot. Pure.

Writer and recovery share it: what the writer would not accept, recovery does not believe. The rules
are Raft's (Ongaro, figure 2 and section 7): terms and commit never fall, one vote per term, what is
committed is never overwritten, no gaps.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable import damage

M = TypeVar("M", HardState, SnapshotMetadata)


class Outline:
    """Entries `first` to `last` are held; `last` = `first` - 1 if there are none."""

    def __init__(
        self, first: int, hard_state: HardState, snapshot: SnapshotMetadata | None
    ) -> None:
        self.first = first
        self.last = first - 1
        self.hard_state = _copy(hard_state)
        self.snapshot = snapshot and _copy(snapshot)
        self._starts: list[int] = []  # the log in runs of one term: the first index of each run,
        self._terms: list[int] = []  # and its term

    def check(self, entries: Sequence[Entry], hard_state: HardState | None) -> None:
        """SwarmError if `save` of the same would break Raft's rules. Changes nothing."""
        if entries:
            self._check_entries(entries)
        if hard_state is not None:
            self._check_hard_state(hard_state, entries[-1].index if entries else self.last)

    def save(self, entries: Sequence[Entry], hard_state: HardState | None) -> None:
        """Takes over entries, in place of all from their first index on, and the hard state."""
        self.check(entries, hard_state)
        if entries:
            self._truncate(entries[0].index)
            for entry in entries:
                if not self._terms or self._terms[-1] != entry.term:
                    self._starts.append(entry.index)
                    self._terms.append(entry.term)
            self.last = entries[-1].index
        if hard_state is not None:
            self.hard_state = _copy(hard_state)

    def check_mark(self, snapshot: SnapshotMetadata) -> bool:
        """Whether the log has to start anew behind the snapshot, since it does not hold its end.

        SwarmError if that would lose a committed entry, or the snapshot is older than the last.
        """
        index, commit = snapshot.index, self.hard_state.commit
        if self.snapshot is not None and index < self.snapshot.index:
            raise damage.broken(f"snapshot {index} after snapshot {self.snapshot.index}")
        anew = index > self.last or self.term(index) not in (None, snapshot.term)
        if anew and index <= commit:
            raise damage.broken(
                f"snapshot {index} is of term {snapshot.term}, up to {commit} all is committed, "
                f"and entry {index} is of term {self.term(index)}"
            )
        return anew

    def mark(self, snapshot: SnapshotMetadata, *, anew: bool) -> None:
        """Takes over a snapshot; the log begins after it, with the entries that it has, or `anew`.

        What a snapshot holds is committed, and its term has been. SwarmError as `check_mark`, or if
        the log cannot go on.
        """
        index = snapshot.index
        if self.check_mark(snapshot) and not anew:
            raise damage.broken(f"snapshot {index} is not in the log, yet the log goes on")
        if anew:
            self._truncate(min(self.first, index + 1))
        if index >= self.first - 1:
            self._drop_until(index)
        self.snapshot = _copy(snapshot)
        state = self.hard_state
        state.commit = max(state.commit, index)
        if state.term < snapshot.term:
            state.term, state.vote = snapshot.term, 0

    def term(self, index: int) -> int | None:
        """The term of a held entry, or of the snapshot's; None if the log does not know it."""
        if self.snapshot is not None and index == self.snapshot.index:
            return self.snapshot.term
        if not self.first <= index <= self.last:
            return None
        return self._terms[bisect_right(self._starts, index) - 1]

    def _truncate(self, index: int) -> None:
        """Forgets the entries from `index` on."""
        while self._starts and self._starts[-1] >= index:
            self._starts.pop()
            self._terms.pop()
        self.first = min(self.first, index)
        self.last = index - 1

    def _drop_until(self, index: int) -> None:
        """Forgets the entries up to `index`."""
        self.first = index + 1
        self.last = max(self.last, index)
        while len(self._starts) > 1 and self._starts[1] <= self.first:
            self._starts.pop(0)
            self._terms.pop(0)
        if self.last == index:
            self._starts.clear()
            self._terms.clear()

    def _check_entries(self, entries: Sequence[Entry]) -> None:
        index, commit = entries[0].index, self.hard_state.commit
        if not 1 <= index <= self.last + 1:
            raise damage.broken(f"entry {index} would leave a gap after entry {self.last}")
        if index <= commit:
            raise damage.broken(f"entry {index} would overwrite, up to {commit} all is committed")
        term = self.term(index - 1) or 0
        for expected, entry in enumerate(entries, start=index):
            if entry.index != expected:
                raise damage.broken(f"entry {entry.index} stands where {expected} belongs")
            if entry.term < term:
                raise damage.broken(f"entry {expected} of term {entry.term} after term {term}")
            term = entry.term

    def _check_hard_state(self, new: HardState, last: int) -> None:
        old = self.hard_state
        if new.term < old.term:
            raise damage.broken(f"term {new.term} after term {old.term}")
        if new.term == old.term and old.vote not in (0, new.vote):
            raise damage.broken(f"vote for {new.vote} after one for {old.vote} in term {new.term}")
        if new.commit < old.commit:
            raise damage.broken(f"commit index {new.commit} after {old.commit}")
        if new.commit > last:
            raise damage.broken(f"commit index {new.commit} beyond the last entry, {last}")


def _copy(message: M) -> M:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
