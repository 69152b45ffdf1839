"""The window of appends on their way."""

import pytest

from manager.raft.core.config import NO_LIMIT
from manager.raft.core.errors import InvariantError
from manager.raft.core.inflights import Inflights


def window(*indexes: int, messages: int = 4, max_bytes: int = NO_LIMIT) -> Inflights:
    made = Inflights(messages, max_bytes)
    for index in indexes:
        made.add(index, 10)
    return made


@pytest.mark.parametrize(
    ("indexes", "messages", "max_bytes", "full"),
    [
        ((), 1, NO_LIMIT, False),
        ((3,), 2, NO_LIMIT, False),
        ((3, 5), 2, NO_LIMIT, True),
        ((3,), 9, 11, False),
        ((3, 5), 9, 11, True),  # the second overran
        ((3, 5), 9, 20, True),
    ],
)
def test_full_by_messages_or_bytes(
    indexes: tuple[int, ...], messages: int, max_bytes: int, full: bool
) -> None:
    made = window(*indexes, messages=messages, max_bytes=max_bytes)
    assert (made.full(), made.count) == (full, len(indexes))


def test_nothing_is_added_to_a_full_window() -> None:
    made = window(1, 2, messages=2)
    with pytest.raises(InvariantError, match="up to 3 sent into a full window"):
        made.add(3, 1)
    assert made.count == 2


@pytest.mark.parametrize(
    ("index", "left"), [(1, 4), (2, 3), (3, 3), (6, 1), (8, 0), (99, 0)], ids=str
)
def test_an_answer_frees_all_up_to_its_index(index: int, left: int) -> None:
    made = window(2, 4, 6, 8)
    made.free_to(index)
    assert made.count == left
    for each in range(100, 100 + 4 - left):
        assert not made.full()
        made.add(each, 10)
    assert made.full()


def test_bytes_are_freed_too() -> None:
    made = window(1, 2, max_bytes=20)
    made.free_to(1)
    assert not made.full()
    made.add(3, 9)
    assert not made.full()


def test_reset_empties_it() -> None:
    made = window(1, 2, max_bytes=20)
    made.reset()
    assert (made.count, made.full()) == (0, False)


def test_a_copy_goes_its_own_way() -> None:
    made = window(1, 2, max_bytes=20)
    copy = made.copy()
    made.reset()
    assert (copy.count, copy.full()) == (2, True)
