"""What a manager remembers: bounded, in order, and honest about what it has forgotten."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.times import NANOS, timestamp
from api.v1.objects_pb2 import Operator
from manager.events import history as module
from manager.events.history import LAST, START, History, Kept, Position
from manager.state.changes import Event


def note(history: History, index: int, *names: str, at: float = 0.0) -> None:
    """A command that makes operators of these names."""
    changes = [Event(None, Operator(id=name, name=name)) for name in names]
    history.applied(index, timestamp(at or float(index)), changes)


def told(kept: Sequence[Kept]) -> list[tuple[int, int, str]]:
    return [(each.position.index, each.position.sequence, each.happening.id) for each in kept]


def test_what_was_applied_is_told_in_order_behind_any_place() -> None:
    history = History()
    note(history, 3, "a", "b")
    note(history, 5)
    note(history, 7, "c")
    history.settle()
    everything = [(3, 1, "a"), (3, 2, "b"), (7, 1, "c")]
    assert told(history.after(START, 9)) == everything
    assert told(history.after(START, 2)) == everything[:2]
    assert told(history.after(Position(3, 1), 9)) == everything[1:]
    assert told(history.after(Position(3, LAST), 9)) == everything[2:]
    assert history.after(Position(7, 1), 9) == []
    assert history.after(Position(99, 0), 9) == []
    assert (history.begin, history.end) == (START, Position(7, LAST))
    assert history.after(START, 1)[0].at == 3 * NANOS


def test_nothing_is_told_while_it_is_applied() -> None:
    history, calls = History(), []
    history.noted = lambda: calls.append("noted")
    history.subscribe(lambda: calls.append("more"))
    note(history, 1, "a")
    note(history, 2, "b")
    assert calls == ["noted"], "once, until it was settled"
    assert history.after(START, 9) == []
    assert history.settle(1) is True
    assert history.end == Position(1, LAST)
    assert history.settle(1) is False
    assert calls == ["noted", "more", "more"]
    note(history, 3, "c")
    assert calls[-1] == "noted"


def test_a_reader_that_left_is_not_woken() -> None:
    history, calls = History(), []
    stop = history.subscribe(lambda: calls.append("more"))
    stop()
    stop()
    note(history, 1, "a")
    history.settle()
    assert calls == []


def test_the_oldest_are_forgotten() -> None:
    history = History(limit=2)
    for index, name in enumerate("abcd", 1):
        note(history, index, name, at=10.0 * index)
    history.settle()
    assert told(history.after(START, 9)) == [(3, 1, "c"), (4, 1, "d")]
    assert history.begin == Position(2, 1)
    assert [history.reaches(at * NANOS) for at in (0, 20, 21)] == [False, False, True]


def test_much_text_is_forgotten_sooner() -> None:
    history = History(max_bytes=20_000)
    for index in range(1, 200):
        note(history, index, f"{index}" + "x" * 400)
    history.settle()
    assert 10 < len(history.after(START, 999)) < 30
    assert history.begin.index > 150


def test_more_than_may_wait_is_told_at_once() -> None:
    history = History(max_noted=3)
    for index in range(1, 9):
        note(history, index, f"{index}")
    assert len(history.after(START, 99)) >= 5


def test_a_large_command_is_told_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    history = History()
    note(history, 3, *"abcde")
    note(history, 4, "f")
    ends = []
    while history.settle(1):
        ends.append(history.end)
        assert history.after(history.end, 9) == []
    assert ends == [Position(3, 2), Position(3, 4), Position(3, LAST)]
    whole = [(3, n, name) for n, name in enumerate("abcde", 1)]
    assert told(history.after(START, 9)) == [*whole, (4, 1, "f")]


def test_what_cannot_be_told_leaves_the_rest_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    history = History()
    changes = [Event(None, Operator(id=name)) for name in "abcd"]
    changes[1] = Event(None, None)
    history.applied(3, timestamp(1.0), changes)
    with pytest.raises(AssertionError):
        history.settle()
    history.settle()
    assert told(history.after(START, 9)) == [(3, 1, "a"), (3, 2, "c"), (3, 3, "d")]


def test_a_history_that_lost_nothing_reaches_as_far_back_as_anybody_asks() -> None:
    assert History().reaches(0)


def test_a_snapshot_takes_the_place_of_all_that_was_before() -> None:
    history, calls = History(), []
    note(history, 1, "a")
    history.settle()
    note(history, 2, "b")
    history.subscribe(lambda: calls.append("more"))
    history.replaced(9)
    assert calls == ["more"]
    assert history.settle() is False
    assert history.after(START, 9) == []
    assert history.begin == history.end == Position(9, LAST)
    assert not history.reaches(10**30)
    note(history, 11, "c", at=50.0)
    history.settle()
    assert [history.reaches(at * NANOS) for at in (49, 50)] == [False, True]
    assert told(history.after(history.begin, 9)) == [(11, 1, "c")]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), max_size=40),
    st.integers(1, 12),
    st.lists(st.integers(1, 7), min_size=1),
    st.data(),
)
def test_a_reader_gets_everything_once_or_knows_where_it_begins(
    commands: list[int], limit: int, steps: list[int], data: st.DataObject
) -> None:
    """Whenever it comes, in whatever pieces, and however the events were settled."""
    history = History(limit=limit)
    every: list[tuple[int, int, str]] = []
    heard: list[tuple[int, int, str]] = []
    place = START

    def read() -> None:
        nonlocal place
        if place < history.begin:
            lost = (history.begin.index, history.begin.sequence)
            heard.extend(each for each in every if heard_up_to() < each[:2] <= lost)
            place = history.begin
        found = history.after(place, data.draw(st.sampled_from(steps)))
        heard.extend(told(found))
        if found:
            place = found[-1].position

    def heard_up_to() -> tuple[int, int]:
        return heard[-1][:2] if heard else (0, 0)

    for index, count in enumerate(commands, 1):
        names = [f"{index}.{n}" for n in range(count)]
        note(history, index, *names)
        every += [(index, n, name) for n, name in enumerate(names, 1)]
        history.settle(data.draw(st.integers(1, 5)))
        if data.draw(st.booleans()):
            read()
    history.settle()
    assert len(history.after(START, 999)) <= limit
    for _ in range(len(every) + 1):
        read()
    assert heard == every


def test_the_memory_that_it_takes_is_about_what_it_estimates() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    history = History(max_bytes=1 << 20)
    tracemalloc.start()
    try:
        for index in range(1, 3000):
            note(history, index, f"{index:025}")
            history.settle()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.3 < taken / (1 << 20) < 1.5
