"""The rules that writer and recovery share, as tables."""

from collections.abc import Sequence

import pytest

from api.errors import SwarmError
from api.v1.raft_pb2 import Entry, HardState, SnapshotMetadata
from manager.raft.durable.outline import Outline

Row = tuple[int, int]  # index, term


def made(rows: Sequence[Row]) -> list[Entry]:
    return [Entry(index=index, term=term) for index, term in rows]


def mark(log: Outline, index: int, term: int) -> None:
    """As the writer does it."""
    snapshot = SnapshotMetadata(index=index, term=term)
    log.mark(snapshot, anew=log.check_mark(snapshot))


def outline() -> Outline:
    """Entries 5 to 9 of terms 2 2 2 4 4 behind snapshot 4; term 4, voted for 7, 6 committed."""
    log = Outline(1, HardState(), None)
    mark(log, 4, 1)
    rows = [(5, 2), (6, 2), (7, 2), (8, 4), (9, 4)]
    log.save(made(rows), HardState(term=4, vote=7, commit=6))
    return log


def shape(log: Outline) -> tuple[int, int, list[int | None]]:
    return log.first, log.last, [log.term(index) for index in range(log.first, log.last + 1)]


@pytest.mark.parametrize(
    ("rows", "after"),
    [
        ([], (5, 9, [2, 2, 2, 4, 4])),
        ([(10, 4)], (5, 10, [2, 2, 2, 4, 4, 4])),
        ([(10, 5), (11, 6)], (5, 11, [2, 2, 2, 4, 4, 5, 6])),
        ([(7, 3)], (5, 7, [2, 2, 3])),
        ([(8, 2)], (5, 8, [2, 2, 2, 2])),
        ([(9, 4)], (5, 9, [2, 2, 2, 4, 4])),
    ],
)
def test_entries_go_in_place_of_those_from_their_first_on(
    rows: list[Row], after: tuple[int, int, list[int | None]]
) -> None:
    log = outline()
    log.save(made(rows), None)
    assert shape(log) == after


@pytest.mark.parametrize(
    ("rows", "hard_state", "why"),
    [
        ([(11, 4)], None, "entry 11 would leave a gap after entry 9"),
        ([(0, 4)], None, "entry 0 would leave a gap"),
        ([(6, 4)], None, "entry 6 would overwrite, up to 6 all is committed"),
        ([(10, 4), (12, 4)], None, "entry 12 stands where 11 belongs"),
        ([(10, 3)], None, "entry 10 of term 3 after term 4"),
        ([(10, 5), (11, 4)], None, "entry 11 of term 4 after term 5"),
        ([], (3, 7, 6), "term 3 after term 4"),
        ([], (4, 8, 6), "vote for 8 after one for 7 in term 4"),
        ([], (4, 0, 6), "vote for 0 after one for 7 in term 4"),
        ([], (4, 7, 5), "commit index 5 after 6"),
        ([], (4, 7, 10), "commit index 10 beyond the last entry, 9"),
        ([(7, 4)], (4, 7, 8), "commit index 8 beyond the last entry, 7"),
    ],
)
def test_what_raft_forbids_changes_nothing(
    rows: list[Row], hard_state: tuple[int, int, int] | None, why: str
) -> None:
    log = outline()
    before = shape(log)
    state = hard_state and HardState(term=hard_state[0], vote=hard_state[1], commit=hard_state[2])
    with pytest.raises(SwarmError, match=why):
        log.save(made(rows), state)
    assert shape(log) == before
    assert log.hard_state == HardState(term=4, vote=7, commit=6)


@pytest.mark.parametrize("state", [(4, 7, 9), (5, 0, 6), (5, 8, 7)])
def test_hard_state_goes_on(state: tuple[int, int, int]) -> None:
    log = outline()
    log.save([], HardState(term=state[0], vote=state[1], commit=state[2]))
    assert (log.hard_state.term, log.hard_state.vote, log.hard_state.commit) == state


@pytest.mark.parametrize(
    ("row", "after", "hard_state"),
    [
        ((4, 1), (5, 9, [2, 2, 2, 4, 4]), (4, 7, 6)),
        ((5, 2), (6, 9, [2, 2, 4, 4]), (4, 7, 6)),
        ((7, 2), (8, 9, [4, 4]), (4, 7, 7)),
        ((9, 4), (10, 9, []), (4, 7, 9)),
        ((8, 5), (9, 8, []), (5, 0, 8)),  # received, and our tail is not the leader's
        ((12, 4), (13, 12, []), (4, 7, 12)),
        ((12, 6), (13, 12, []), (6, 0, 12)),
    ],
)
def test_a_mark_begins_the_log_behind_the_snapshot(
    row: Row, after: tuple[int, int, list[int | None]], hard_state: tuple[int, int, int]
) -> None:
    log = outline()
    mark(log, *row)
    assert shape(log) == after
    assert (log.hard_state.term, log.hard_state.vote, log.hard_state.commit) == hard_state
    assert log.term(row[0]) == row[1]
    log.save(made([(log.last + 1, 9)]), None)
    assert log.term(log.last) == 9


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((3, 1), "snapshot 3 after snapshot 4"),
        ((4, 2), "snapshot 4 is of term 2, up to 6 all is committed, and entry 4 is of term 1"),
        ((6, 3), "snapshot 6 is of term 3, .* entry 6 is of term 2"),
    ],
)
def test_a_mark_that_goes_back_or_contradicts_is_refused(row: Row, why: str) -> None:
    log = outline()
    with pytest.raises(SwarmError, match=why):
        mark(log, *row)
    assert log.snapshot == SnapshotMetadata(index=4, term=1)


def test_a_log_whose_beginning_was_compacted_replays_older_marks_and_overwrites() -> None:
    """A segment may begin in the middle: its first entries then replace some that are gone."""
    log = Outline(50, HardState(term=3, commit=20), None)
    mark(log, 20, 1)
    assert shape(log) == (50, 49, [])
    log.save(made([(45, 3), (46, 3)]), HardState(term=3, commit=46))
    assert shape(log) == (45, 46, [3, 3])
    mark(log, 45, 3)
    assert shape(log) == (46, 46, [3])


@pytest.mark.parametrize(
    ("anew", "after"), [(False, (50, 49, [])), (True, (31, 30, []))], ids=["goes on", "anew"]
)
def test_a_log_whose_beginning_was_compacted_is_told_whether_it_started_anew(
    anew: bool, after: tuple[int, int, list[int | None]]
) -> None:
    log = Outline(50, HardState(term=3, commit=20), None)
    log.mark(SnapshotMetadata(index=30, term=4), anew=anew)
    assert shape(log) == after
    assert log.hard_state == HardState(term=4, commit=30)


def test_a_log_that_ends_before_a_snapshot_cannot_go_on() -> None:
    with pytest.raises(SwarmError, match="snapshot 12 is not in the log, yet the log goes on"):
        outline().mark(SnapshotMetadata(index=12, term=4), anew=False)


def test_messages_are_copied() -> None:
    log = outline()
    state = HardState(term=5)
    state.commit = 6
    log.save([], state)
    state.term = 1
    assert log.hard_state.term == 5
