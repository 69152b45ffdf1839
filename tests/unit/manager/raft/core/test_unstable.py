"""What is not persisted yet, as tables over its three shapes."""

import pytest

from manager.raft.core.errors import InvariantError
from manager.raft.core.unstable import Unstable
from tests.support.raft_entries import Row, entries, rows, snapshot


def unstable(offset: int, *terms: int, snap: Row | None = None) -> Unstable:
    made = Unstable(offset)
    made.entries = entries(offset, *terms)
    made.snapshot = snap and snapshot(*snap)
    return made


EMPTY = (5, (), None)
ENTRIES = (5, (1, 2), None)
SNAPSHOT = (5, (), (4, 1))
BOTH = (5, (1, 2), (4, 1))


@pytest.mark.parametrize(
    ("shape", "first", "last"),
    [(EMPTY, None, None), (ENTRIES, None, 6), (SNAPSHOT, 5, 4), (BOTH, 5, 6)],
)
def test_first_and_last_index(
    shape: tuple[int, tuple[int, ...], Row | None], first: int | None, last: int | None
) -> None:
    made = unstable(shape[0], *shape[1], snap=shape[2])
    assert (made.maybe_first_index(), made.maybe_last_index()) == (first, last)


@pytest.mark.parametrize(
    ("shape", "terms"),
    [
        (EMPTY, [None, None, None, None, None]),
        (ENTRIES, [None, None, 1, 2, None]),
        (SNAPSHOT, [None, 1, None, None, None]),
        (BOTH, [None, 1, 1, 2, None]),
    ],
)
def test_terms_of_3_to_7(
    shape: tuple[int, tuple[int, ...], Row | None], terms: list[int | None]
) -> None:
    made = unstable(shape[0], *shape[1], snap=shape[2])
    assert [made.maybe_term(index) for index in range(3, 8)] == terms


@pytest.mark.parametrize(
    ("index", "term", "left"),
    [
        (5, 1, (6, [(6, 2), (7, 2)])),
        (6, 2, (7, [(7, 2)])),
        (7, 2, (8, [])),
        (6, 1, (5, [(5, 1), (6, 2), (7, 2)])),  # overwritten meanwhile
        (4, 1, (5, [(5, 1), (6, 2), (7, 2)])),  # persisted already
        (8, 2, (5, [(5, 1), (6, 2), (7, 2)])),  # cut off meanwhile
    ],
)
def test_persisted_entries_leave(index: int, term: int, left: tuple[int, list[Row]]) -> None:
    made = unstable(5, 1, 2, 2, snap=(4, 1))
    made.stable_to(index, term)
    assert (made.offset, rows(made.entries)) == left
    assert made.snapshot is not None


@pytest.mark.parametrize(("index", "kept"), [(4, False), (3, True), (5, True)])
def test_a_persisted_snapshot_leaves(index: int, kept: bool) -> None:
    made = unstable(5, 1, snap=(4, 1))
    made.stable_snap_to(index)
    assert (made.snapshot is not None) is kept


def test_there_may_be_no_snapshot_to_persist() -> None:
    made = unstable(5, 1)
    made.stable_snap_to(4)
    assert rows(made.entries) == [(5, 1)]


def test_a_received_snapshot_takes_the_place_of_everything() -> None:
    made = unstable(5, 1, 2, snap=(4, 1))
    made.restore(snapshot(8, 3))
    assert (made.offset, made.entries, made.maybe_term(8)) == (9, [], 3)


@pytest.mark.parametrize(
    ("first", "terms", "after"),
    [
        (7, (3, 3), (5, [(5, 1), (6, 2), (7, 3), (8, 3)])),
        (6, (3,), (5, [(5, 1), (6, 3)])),
        (5, (3, 3, 3), (5, [(5, 3), (6, 3), (7, 3)])),
        (4, (3,), (4, [(4, 3)])),
        (3, (3, 3, 3), (3, [(3, 3), (4, 3), (5, 3)])),
    ],
)
def test_entries_overwrite_from_their_first_on(
    first: int, terms: tuple[int, ...], after: tuple[int, list[Row]]
) -> None:
    made = unstable(5, 1, 2)
    made.truncate_and_append(entries(first, *terms))
    assert (made.offset, rows(made.entries)) == after


def test_a_gap_is_a_broken_invariant() -> None:
    with pytest.raises(InvariantError, match="entry 8 leaves a gap after entry 6"):
        unstable(5, 1, 2).truncate_and_append(entries(8, 3))


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(5, 7, [(5, 1), (6, 2)]), (5, 6, [(5, 1)]), (6, 7, [(6, 2)]), (7, 7, [])],
)
def test_a_slice(low: int, high: int, found: list[Row]) -> None:
    assert rows(unstable(5, 1, 2).slice(low, high)) == found


@pytest.mark.parametrize(("low", "high"), [(4, 6), (5, 8), (6, 5), (8, 8)])
def test_a_slice_of_what_is_not_there_is_a_broken_invariant(low: int, high: int) -> None:
    with pytest.raises(InvariantError, match="asked"):
        unstable(5, 1, 2).slice(low, high)


def test_what_was_handed_out_is_a_copy() -> None:
    made = unstable(5, 1, 2)
    handed_out = made.slice(5, 7)
    made.truncate_and_append(entries(6, 9))
    assert rows(handed_out) == [(5, 1), (6, 2)]
