"""The lowest free number, held against a set."""

from hypothesis import given
from hypothesis import strategies as st

from manager.allocator.ranges import FreeRuns

FIRST, LAST = 10, 40


@given(st.lists(st.tuples(st.booleans(), st.integers(FIRST - 2, LAST + 2))))
def test_it_is_as_a_set_of_numbers(steps: list[tuple[bool, int]]) -> None:
    runs, model = FreeRuns(FIRST, LAST), set(range(FIRST, LAST + 1))
    for takes, number in steps:
        if takes:
            runs.take(number)
            model.discard(number)
        else:
            runs.give(number)
            model |= {number} & set(range(FIRST, LAST + 1))
        assert runs.lowest() == min(model, default=None)
        assert runs.free == len(model)
        assert len(runs._starts) <= len(model)


def test_an_empty_range_has_none() -> None:
    runs = FreeRuns(5, 4)
    runs.give(5)
    assert (runs.lowest(), runs.free, runs.size) == (None, 0, 0)
