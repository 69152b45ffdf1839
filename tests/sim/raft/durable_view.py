"""What one raft id must still know after any crash, seen from outside: what its disk has made
durable. Built from the Readys that were persisted and from the drive's own account of syncs; the
log's word is never taken for it.
"""

from api.v1.raft_pb2 import Entry
from manager.raft.core.ready import Ready
from manager.raft.durable.wal import Recovered
from tests.sim.raft.log_terms import LogTerms
from tests.sim.raft.violation import must


class DurableView(LogTerms):
    """The durable log, term and vote. `commit`: at least that must be known to be committed."""

    __slots__ = ("_waiting", "commit", "raft_id", "term", "vote")

    def __init__(self, raft_id: int) -> None:
        super().__init__()
        self.raft_id = raft_id
        self.term = 0
        self.vote = 0
        self.commit = 0
        self._waiting: list[Ready] = []

    def has(self, ready: Ready) -> bool:
        """Whether nothing has to be written for the round to be durable."""
        if ready.entries or ready.snapshot is not None:
            return False
        state = ready.hard_state
        return state is None or (state.term, state.vote) == (self.term, self.vote)

    def begin(self, ready: Ready) -> None:
        """The round is about to be written."""
        self._waiting.append(ready)

    def end(self, *, durable: bool) -> None:
        """The round was handed to the log; if `durable`, it and all before it is on the disk."""
        if durable:
            for ready in self._waiting:
                self._take(ready)
            self._waiting.clear()

    def marked(self, index: int, term: int) -> None:
        """A snapshot up to there is durable and marked."""
        self.restart_at(index, term)
        self.commit = max(self.commit, index)

    def reconfigured(self, index: int) -> None:
        """The member applies a change: it must never forget that this is committed."""
        self.commit = max(self.commit, index)

    def _take(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.marked(ready.snapshot.metadata.index, ready.snapshot.metadata.term)
        if ready.entries:
            self.cut(ready.entries[0].index)
            self.terms += [entry.term for entry in ready.entries]
        if ready.hard_state is not None:
            self.term, self.vote = ready.hard_state.term, ready.hard_state.vote

    def restarted(self, recovered: Recovered) -> None:
        """Compares with what the log recovered, and takes that over: it is durable now."""
        state, snapshot = recovered.hard_state, recovered.snapshot
        self._kept("term", self.term, state.term)
        self._kept("commit", self.commit, state.commit)
        covered = snapshot.index if snapshot is not None else 0
        self._kept("snapshot", self.snapshot, covered)
        if state.term == self.term and self.vote:
            what = "%d recovered a vote for %d, durable was %d"
            must(state.vote == self.vote, "vote kept", what, self.raft_id, state.vote, self.vote)
        self._compare_entries(covered, recovered.entries)
        self._replace(recovered)

    def _kept(self, what: str, durable: int, found: int) -> None:
        text = "%d recovered %s %d, durable was %d"
        must(found >= durable, f"{what} kept", text, self.raft_id, what, found, durable)

    def _compare_entries(self, covered: int, entries: list[Entry]) -> None:
        found = {entry.index: entry.term for entry in entries}
        for index in range(covered + 1, self._safe_until() + 1):
            term, durable = found.get(index, 0), self.terms[index]
            what = "%d recovered entry %d of term %d, durable was term %d"
            must(term == durable, "entries kept", what, self.raft_id, index, term, durable)

    def _safe_until(self) -> int:
        """Up to here nothing that was being written can have changed a durable entry."""
        until = self.last
        for ready in self._waiting:
            if ready.snapshot is not None:
                until = min(until, self.commit)
            if ready.entries:
                until = min(until, ready.entries[0].index - 1)
        return until

    def _replace(self, recovered: Recovered) -> None:
        self._waiting.clear()
        state, snapshot = recovered.hard_state, recovered.snapshot
        self.term, self.vote, self.commit = state.term, state.vote, state.commit
        if snapshot is not None:
            self.restart_at(snapshot.index, snapshot.term)
            self.cut(snapshot.index + 1)
        else:
            self.cut(1)
        self.terms += [entry.term for entry in recovered.entries]
