import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.scheduler.line import Line

STEPS = st.lists(st.none() | st.integers(0, 9))
"""A number comes, or with None the least goes."""


@given(STEPS)
def test_the_least_stands_first(steps: list[int | None]) -> None:
    line: Line[tuple[int]] = Line()
    model: list[tuple[int]] = []
    for number in steps:
        if number is not None:
            line.push((number,))
            heapq.heappush(model, (number,))
        elif model:
            assert line.pop() == heapq.heappop(model)
        assert bool(line) == bool(model)
    while model:
        assert line.pop() == heapq.heappop(model)


def test_nothing_can_be_taken_from_an_empty_line() -> None:
    with pytest.raises(IndexError):
        Line[tuple[int]]().pop()
