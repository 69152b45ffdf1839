"""The log against a plain list: random appends, commits, applies, persists and compactions."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from api.v1.raft_pb2 import ConfState, Entry
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.errors import CompactedError, UnavailableError
from manager.raft.core.log import RaftLog
from manager.raft.core.storage import ENTRY_OVERHEAD, MemoryStorage
from tests.support.raft_entries import Row, entries, rows, snapshot


@dataclass(slots=True)
class Naive:
    """All terms from index 1 on, of which those up to `compacted` must not be asked for."""

    terms: list[int] = field(default_factory=list)
    committed: int = 0
    applied: int = 0
    persisted: int = 0
    compacted: int = 0

    @property
    def last(self) -> int:
        return len(self.terms)

    def term(self, index: int) -> int:
        return self.terms[index - 1] if index else 0

    def rows(self, low: int, high: int) -> list[Row]:
        return [(index, self.term(index)) for index in range(low, high)]

    def overwrite(self, first: int, terms: list[int]) -> None:
        self.terms[first - 1 :] = terms
        self.persisted = min(self.persisted, first - 1)


class Pair:
    """The log and the model, treated alike by numbers out of `pick`."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.stored = MemoryStorage()
        self.log = RaftLog(self.stored)
        self.model = Naive()

    def pick(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, max(low, high)))

    def terms_after(self, index: int, count: int) -> list[int]:
        term, made = max(self.model.term(index), 1), []
        for _ in range(count):
            term += self.pick(0, 1)
            made.append(term)
        return made

    def append(self) -> None:
        """As a leader appends, or a follower from the first conflict on."""
        first = self.pick(self.model.committed + 1, self.model.last + 1)
        terms = self.terms_after(first - 1, self.pick(1, 4))
        self.model.overwrite(first, terms)
        assert self.log.append(entries(first, *terms)) == self.model.last

    def maybe_append(self) -> None:
        """What a leader sends: it shares all that is committed, and may differ behind."""
        at = self.pick(self.model.compacted, self.model.last + 1)
        term = self.model.term(at) if at <= self.model.last else 1
        term += self.pick(0, 9) == 0
        sent = self._sent(at)
        commit = self.pick(0, at + len(sent) + 1)
        matches = at <= self.model.last and self.model.term(at) == term
        found = self.log.maybe_append(at, term, commit, sent)
        assert found == (at + len(sent) if matches else None)
        if matches:
            self._take(at, [entry.term for entry in sent])
            self.model.committed = max(self.model.committed, min(commit, at + len(sent)))

    def _sent(self, at: int) -> list[Entry]:
        shared = min(self.model.last, max(self.model.committed, at + self.pick(0, 4)))
        terms = [self.model.term(index) for index in range(at + 1, shared + 1)]
        end = at + len(terms)
        more = self.terms_after(min(end, self.model.last), self.pick(0, 2))
        return entries(at + 1, *terms, *more)

    def _take(self, at: int, terms: list[int]) -> None:
        for offset, term in enumerate(terms):
            index = at + 1 + offset
            if index > self.model.last or self.model.term(index) != term:
                self.model.overwrite(index, terms[offset:])
                return

    def commit(self) -> None:
        index = self.pick(0, self.model.last + 1)
        term = self.model.term(index) if index <= self.model.last else 1
        news = self.model.committed < index <= self.model.last
        assert self.log.maybe_commit(index, term) is news
        self.model.committed = index if news else self.model.committed

    def apply(self) -> None:
        count = self.pick(0, 4)
        taken = self.log.next_committed_entries(True)[:count]
        assert (
            rows(taken) == self.model.rows(self.model.applied + 1, self.model.committed + 1)[:count]
        )
        self.model.applied += len(taken)
        self.log.applied_to(self.model.applied)

    def persist(self) -> None:
        taken = self.log.next_unstable_entries()
        assert rows(taken) == self.model.rows(self.model.persisted + 1, self.model.last + 1)
        taken = taken[: self.pick(0, 4)]
        self.stored.append(taken)
        if taken:
            self.log.stable_to(taken[-1].index, taken[-1].term)
            self.model.persisted = taken[-1].index

    def compact(self) -> None:
        most = min(self.model.applied, self.model.persisted)
        if most > self.model.compacted:
            index = self.pick(self.model.compacted + 1, most)
            self.stored.create_snapshot(index, ConfState())
            self.stored.compact(index)
            self.model.compacted = index

    def install(self) -> None:
        """A snapshot from a leader, ahead of all that is here, and its persistence at once."""
        if self.pick(0, 3):
            return
        index = self.model.last + self.pick(1, 2)
        received = snapshot(index, self.model.term(self.model.last) + 1)
        self.log.restore(received)
        assert not self.log.has_next_committed_entries(True)
        self.stored.apply_snapshot(received)
        self.log.stable_snap_to(index)
        self.log.applied_to(index)
        terms = [*self.model.terms] + [received.metadata.term] * (index - self.model.last)
        self.model = Naive(terms, index, index, index, index)

    def check(self) -> None:
        log, model = self.log, self.model
        first = model.compacted + 1
        assert (log.first_index(), log.last_index()) == (first, model.last)
        assert (log.committed, log.applied) == (model.committed, model.applied)
        assert log.last_term() == model.term(model.last)
        assert rows(log.entries(first, NO_LIMIT)) == model.rows(first, model.last + 1)
        self.check_slice()
        self.check_conflict_by_term()

    def check_slice(self) -> None:
        low = self.pick(self.model.compacted + 1, self.model.last + 1)
        high = self.pick(low, self.model.last + 1)
        count = self.pick(0, 5)
        found = self.log.slice(low, high, count * ENTRY_OVERHEAD)
        assert rows(found) == self.model.rows(low, high)[: max(count, 1)]

    def check_conflict_by_term(self) -> None:
        """Against a walk down, one entry after the other, until the log does not know it."""
        index, term = self.pick(0, self.model.last + 2), self.pick(0, 6)
        at, found = index, None
        while at > 0 and found is None:
            try:
                known = self.log.term(at)
            except (CompactedError, UnavailableError):
                found = at, 0
            else:
                if known <= term:
                    found = at, known
            at -= 1
        assert self.log.find_conflict_by_term(index, term) == (found or (0, 0))


STEPS = ("append", "maybe_append", "commit", "apply", "persist", "compact", "install")


@settings(max_examples=250, deadline=None, derandomize=True)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=30), data=st.data())
def test_the_log_does_what_a_plain_list_does(steps: list[str], data: st.DataObject) -> None:
    pair = Pair(data)
    for step in steps:
        getattr(pair, step)()
        pair.check()
