"""Linearizable reads: rounds, retries, deadlines."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from manager.raft.node.reads import RETRY, Reads

NEVER = 1e9


def test_a_read_is_served_once_its_index_is_applied() -> None:
    reads: Reads[str] = Reads()
    assert reads.ask(0) is None
    reads.add("a", NEVER)
    context = reads.ask(0)
    assert context is not None
    reads.answered(context, 7)
    assert (reads.applied(6), len(reads)) == ([], 1)
    assert (reads.applied(8), len(reads)) == (["a"], 0)


def test_who_comes_during_a_round_waits_for_the_next() -> None:
    reads: Reads[str] = Reads()
    reads.add("a", NEVER)
    first = reads.ask(0)
    reads.add("b", NEVER)
    reads.add("c", NEVER)
    assert reads.ask(0.1) is None
    assert first is not None
    reads.answered(first, 7)
    second = reads.ask(0.1)
    assert second not in (None, first)
    assert reads.applied(7) == ["a"]
    assert second is not None
    reads.answered(second, 7)
    assert reads.applied(7) == ["b", "c"]


def test_a_round_without_an_answer_is_asked_again_with_all_that_wait() -> None:
    reads: Reads[str] = Reads()
    reads.add("a", NEVER)
    first = reads.ask(0)
    reads.add("b", NEVER)
    second = reads.ask(RETRY)
    assert first is not None
    assert second is not None
    reads.answered(first, 7)  # too late: it does not cover b
    assert reads.applied(7) == []
    reads.answered(second, 8)
    assert reads.applied(8) == ["a", "b"]


def test_a_new_leader_is_asked_at_once() -> None:
    reads: Reads[str] = Reads()
    reads.add("a", NEVER)
    first = reads.ask(0)
    reads.leader_changed()
    assert reads.ask(0) not in (None, first)


def test_contexts_of_two_lives_differ() -> None:
    contexts = set()
    for first in (0, 1 << 62):
        reads: Reads[str] = Reads(first)
        reads.add("a", NEVER)
        contexts.add(reads.ask(0))
    assert len(contexts) == 2


def test_a_read_in_any_state_expires() -> None:
    reads: Reads[str] = Reads()
    reads.add("known", 5)
    context = reads.ask(0)
    assert context is not None
    reads.answered(context, 7)
    reads.add("asked", 5)
    reads.add("later", 6)
    reads.ask(0)
    reads.add("new", 5)
    assert (reads.expired(4.9), len(reads)) == ([], 4)
    assert sorted(reads.expired(5)) == ["asked", "known", "new"]
    assert reads.end() == ["later"]
    assert len(reads) == 0
    assert reads.ask(99) is None


class History:
    """A leader that answers at will, late or twice, and readers; every read is told once."""

    def __init__(self) -> None:
        self.reads: Reads[int] = Reads()
        self.came: dict[int, int] = {}
        self._count = self._now = self._committed = self._applied = 0
        self._asked: list[tuple[bytes, int]] = []

    def add(self, patience: int) -> None:
        self._count += 1
        self.reads.add(self._count, self._now + patience)
        self.came[self._count] = self._committed

    def ask(self, _: int) -> None:
        context = self.reads.ask(self._now)
        if context is not None:
            self._asked.append((context, self._committed))

    def answer(self, which: int) -> None:
        if self._asked:
            self.reads.answered(*self._asked[-1 - which % len(self._asked)])

    def commit(self, count: int) -> None:
        self._committed += count

    def apply(self, count: int) -> None:
        self._applied = min(self._committed, self._applied + count)
        for served in self.reads.applied(self._applied):
            assert self.came.pop(served) <= self._applied

    def change_leader(self, _: int) -> None:
        self.reads.leader_changed()

    def wait(self, seconds: int) -> None:
        self._now += seconds
        for late in self.reads.expired(self._now):
            del self.came[late]


_STEP = st.sampled_from(
    [
        *(History.add, History.ask, History.answer, History.commit),
        *(History.apply, History.change_leader, History.wait),
    ]
)


@given(st.lists(st.tuples(_STEP, st.integers(1, 4)), max_size=60))
def test_no_read_is_served_before_what_was_committed_when_it_came(
    steps: list[tuple[Callable[[History, int], None], int]],
) -> None:
    history = History()
    for step, value in steps:
        step(history, value)
        assert len(history.reads) == len(history.came)
    assert sorted(history.reads.end()) == sorted(history.came)
