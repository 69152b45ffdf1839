"""A queue is a set whose lowest names come first."""

from hypothesis import given
from hypothesis import strategies as st

from manager.allocator.queue import Queue


@given(st.lists(st.one_of(st.text(max_size=2), st.integers(0, 4))))
def test_it_is_as_a_sorted_set(steps: list[str | int]) -> None:
    queue, model = Queue(), set[str]()
    for step in steps:
        if isinstance(step, str):
            queue.put(step)
            model.add(step)
        else:
            expected = sorted(model)[:step]
            assert queue.take(step) == expected
            model.difference_update(expected)
        assert bool(queue) == bool(model)
