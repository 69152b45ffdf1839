"""The log over its seam between storage and what is not persisted yet: every rule as a table."""

from collections.abc import Callable

import pytest

from manager.raft.core import errors
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.log import RaftLog
from manager.raft.core.storage import ENTRY_OVERHEAD, MemoryStorage
from tests.support.raft_entries import Row, entries, rows, snapshot, storage


def held(committed: int = 5, applied: int = 3, limit: int = NO_LIMIT) -> RaftLog:
    """Snapshot (3, 2); entries 4 to 6 of terms 2 3 3 in the storage, 7 and 8 of 3 5 not yet."""
    log = RaftLog(storage(2, 3, 3, after=(3, 2)), max_committed_bytes=limit)
    log.append(entries(7, 3, 5))
    log.commit_to(committed)
    log.applied_to(applied)
    return log


def content(log: RaftLog) -> list[Row]:
    return rows(log.slice(log.first_index(), log.last_index() + 1, NO_LIMIT))


WHOLE = [(4, 2), (5, 3), (6, 3), (7, 3), (8, 5)]


@pytest.mark.parametrize(
    ("stored", "ends"),
    [
        (MemoryStorage(), (1, 0, 0, 0)),
        (storage(1, 1), (1, 2, 1, 0)),
        (storage(after=(3, 2)), (4, 3, 2, 3)),
        (storage(4, after=(3, 2)), (4, 4, 4, 3)),
    ],
)
def test_a_log_begins_with_the_storage(
    stored: MemoryStorage, ends: tuple[int, int, int, int]
) -> None:
    log = RaftLog(stored)
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == ends
    assert log.applied == log.committed
    assert not log.has_next_unstable_entries()


@pytest.mark.parametrize(("index", "term"), [(3, 2), *WHOLE])
def test_terms(index: int, term: int) -> None:
    log = held()
    assert log.term(index) == term
    assert log.match_term(index, term)
    assert not log.match_term(index, term + 1)


@pytest.mark.parametrize(
    ("index", "error"),
    [(2, errors.CompactedError), (0, errors.CompactedError), (9, errors.UnavailableError)],
)
def test_terms_out_of_bounds(index: int, error: type[errors.StorageError]) -> None:
    log = held()
    with pytest.raises(error):
        log.term(index)
    assert not log.match_term(index, 0)


def test_the_empty_log_matches_only_its_beginning() -> None:
    log = RaftLog(MemoryStorage())
    assert log.match_term(0, 0)
    assert not log.match_term(1, 0)


@pytest.mark.parametrize(
    ("index", "term", "up_to_date"),
    [(1, 6, True), (8, 5, True), (9, 5, True), (7, 5, False), (99, 4, False)],
)
def test_which_log_is_up_to_date(index: int, term: int, up_to_date: bool) -> None:
    assert held().is_up_to_date(index, term) is up_to_date


@pytest.mark.parametrize(
    ("first", "terms", "conflict"),
    [
        (9, (), 0),
        (4, (2, 3, 3, 3, 5), 0),
        (6, (3, 3), 0),
        (6, (3, 3, 5, 5), 9),
        (9, (5, 6), 9),
        (7, (4, 4), 7),
        (6, (3, 3, 6), 8),
    ],
)
def test_find_conflict(first: int, terms: tuple[int, ...], conflict: int) -> None:
    assert held().find_conflict(entries(first, *terms)) == conflict


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [
        (8, 5, (8, 5)),
        (8, 4, (7, 3)),
        (8, 3, (7, 3)),
        (7, 2, (4, 2)),
        (4, 2, (4, 2)),
        (3, 2, (3, 2)),
        (8, 1, (2, 0)),  # all known entries are of later terms
        (2, 1, (2, 0)),  # compacted
        (9, 9, (9, 0)),  # beyond the last
    ],
)
def test_find_conflict_by_term(index: int, term: int, found: Row) -> None:
    assert held().find_conflict_by_term(index, term) == found


@pytest.mark.parametrize(
    ("index", "term", "found"), [(3, 1, (0, 0)), (3, 2, (1, 2)), (3, 4, (3, 4)), (0, 0, (0, 0))]
)
def test_find_conflict_by_term_down_to_the_beginning(index: int, term: int, found: Row) -> None:
    assert RaftLog(storage(2, 4, 4)).find_conflict_by_term(index, term) == found


@pytest.mark.parametrize(
    ("prev", "committed", "terms", "last_new", "after", "now_committed"),
    [
        ((8, 4), 9, (5,), None, WHOLE, 5),  # another term
        ((9, 5), 9, (5,), None, WHOLE, 5),  # beyond the last
        ((2, 2), 9, (2,), None, WHOLE, 5),  # compacted
        ((8, 5), 5, (), 8, WHOLE, 5),
        ((8, 5), 7, (), 8, WHOLE, 7),
        ((8, 5), 9, (), 8, WHOLE, 8),  # no further than what is known to match
        ((8, 5), 4, (), 8, WHOLE, 5),  # never back
        ((7, 3), 8, (), 7, WHOLE, 7),  # what follows is left, but not known to match
        ((6, 3), 5, (3,), 7, WHOLE, 5),  # an old append cuts nothing off
        ((4, 2), 7, (3, 3), 6, WHOLE, 6),
        ((8, 5), 5, (5, 6), 10, [*WHOLE, (9, 5), (10, 6)], 5),
        ((7, 3), 9, (6, 6), 9, [*WHOLE[:4], (8, 6), (9, 6)], 9),
        ((5, 3), 5, (3, 6), 7, [*WHOLE[:3], (7, 6)], 5),
        ((5, 3), 5, (6,), 6, [*WHOLE[:2], (6, 6)], 5),  # within the storage
        ((3, 2), 6, (2, 3, 3, 3, 5, 5), 9, [*WHOLE, (9, 5)], 6),
    ],
)
def test_maybe_append(
    prev: Row,
    committed: int,
    terms: tuple[int, ...],
    last_new: int | None,
    after: list[Row],
    now_committed: int,
) -> None:
    log = held()
    assert log.maybe_append(*prev, committed, entries(prev[0] + 1, *terms)) == last_new
    assert (content(log), log.committed) == (after, now_committed)


@pytest.mark.parametrize(
    ("first", "terms", "last", "to_persist"),
    [
        (9, (), 8, [(7, 3), (8, 5)]),
        (9, (6,), 9, [(7, 3), (8, 5), (9, 6)]),
        (8, (6,), 8, [(7, 3), (8, 6)]),
        (6, (6,), 6, [(6, 6)]),
    ],
)
def test_append(first: int, terms: tuple[int, ...], last: int, to_persist: list[Row]) -> None:
    log = held()
    assert log.append(entries(first, *terms)) == last
    assert rows(log.next_unstable_entries()) == to_persist
    assert log.has_next_unstable_entries()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda log: log.append(entries(5, 9)), "entry 5 would be overwritten, up to 5 all is"),
        (lambda log: log.append(entries(10, 9)), "entry 10 leaves a gap after entry 8"),
        (lambda log: log.maybe_append(3, 2, 5, entries(4, 9)), "entry 4 would be overwritten"),
        (lambda log: log.commit_to(9), "entry 9 is said to be committed, the last is 8"),
        (lambda log: log.applied_to(2), "applied up to 2, after 3, with 5 committed"),
        (lambda log: log.applied_to(6), "applied up to 6, after 3, with 5 committed"),
        (lambda log: log.restore(snapshot(4, 2)), "snapshot 4 would undo entries, up to 5"),
        (lambda log: log.slice(6, 5, NO_LIMIT), r"entries of \[6, 5\) asked for"),
        (lambda log: log.slice(6, 10, NO_LIMIT), r"entries of \[6, 10\) asked for, the last is 8"),
    ],
)
def test_a_broken_invariant_changes_nothing(call: Callable[[RaftLog], object], why: str) -> None:
    log = held()
    with pytest.raises(errors.InvariantError, match=why):
        call(log)
    assert (content(log), log.committed, log.applied) == (WHOLE, 5, 3)


def test_a_storage_that_lost_entries_is_a_broken_invariant() -> None:
    shrinking = storage(1, 1, 1)
    log = RaftLog(shrinking)
    log.append(entries(4, 1))
    shrinking.append(entries(1, 2))
    with pytest.raises(errors.InvariantError, match=r"the storage lost entries of \[1, 4\)"):
        log.slice(1, 5, NO_LIMIT)


@pytest.mark.parametrize(
    ("index", "term", "news", "committed"),
    [
        (6, 3, True, 6),
        (8, 5, True, 8),
        (8, 3, False, 5),
        (9, 5, False, 5),
        (9, 0, False, 5),
        (5, 3, False, 5),
        (4, 2, False, 5),
    ],
)
def test_maybe_commit(index: int, term: int, news: bool, committed: int) -> None:
    log = held()
    assert log.maybe_commit(index, term) is news
    assert log.committed == committed


@pytest.mark.parametrize("index", [3, 4, 5])
def test_applied_rises_up_to_committed(index: int) -> None:
    log = held()
    log.applied_to(index)
    assert log.applied == index


@pytest.mark.parametrize(
    ("committed", "applied", "all_of_them", "stable_ones"),
    [
        (3, 3, [], []),
        (5, 3, WHOLE[:2], WHOLE[:2]),
        (5, 4, WHOLE[1:2], WHOLE[1:2]),
        (5, 5, [], []),
        (8, 3, WHOLE, WHOLE[:3]),
        (8, 6, WHOLE[3:], []),
        (8, 7, WHOLE[4:], []),
    ],
)
def test_entries_to_apply(
    committed: int, applied: int, all_of_them: list[Row], stable_ones: list[Row]
) -> None:
    log = held(committed, applied)
    assert rows(log.next_committed_entries(True)) == all_of_them
    assert rows(log.next_committed_entries(False)) == stable_ones
    assert log.has_next_committed_entries(True) is bool(all_of_them)
    assert log.has_next_committed_entries(False) is bool(stable_ones)


@pytest.mark.parametrize(("count", "found"), [(0, 1), (1, 1), (2, 2), (4, 4), (9, 5)])
def test_entries_to_apply_come_in_batches(count: int, found: int) -> None:
    log = held(committed=8, limit=count * ENTRY_OVERHEAD)
    assert rows(log.next_committed_entries(True)) == WHOLE[:found]


@pytest.mark.parametrize(
    ("low", "high", "count", "found"),
    [
        (4, 9, 9, WHOLE),
        (4, 7, 9, WHOLE[:3]),
        (7, 9, 9, WHOLE[3:]),
        (6, 8, 9, WHOLE[2:4]),
        (6, 6, 9, []),
        (9, 9, 9, []),
        (4, 9, 0, WHOLE[:1]),
        (4, 9, 2, WHOLE[:2]),
        (4, 9, 3, WHOLE[:3]),  # just up to the seam
        (4, 9, 4, WHOLE[:4]),  # one beyond it
        (7, 9, 0, WHOLE[3:4]),
        (7, 9, 1, WHOLE[3:4]),
    ],
)
def test_slices_over_the_seam(low: int, high: int, count: int, found: list[Row]) -> None:
    assert rows(held().slice(low, high, count * ENTRY_OVERHEAD)) == found


def test_an_entry_beyond_the_seam_that_does_not_fit_is_left_out() -> None:
    log = RaftLog(storage(1))
    log.append(entries(2, 1, data=b"x" * 50))
    assert rows(log.entries(1, ENTRY_OVERHEAD + 50)) == [(1, 1)]
    assert rows(log.entries(1, 2 * ENTRY_OVERHEAD + 50)) == [(1, 1), (2, 1)]


@pytest.mark.parametrize(("low", "found"), [(4, WHOLE), (8, WHOLE[4:]), (9, []), (12, [])])
def test_entries_from_an_index_on(low: int, found: list[Row]) -> None:
    assert rows(held().entries(low, NO_LIMIT)) == found


def test_compacted_entries_are_refused() -> None:
    with pytest.raises(errors.CompactedError):
        held().entries(3, NO_LIMIT)


def test_entries_compacted_while_the_log_still_knows_their_place() -> None:
    stored = storage(1, 1, 1)
    log = RaftLog(stored)
    stored.compact(2)
    with pytest.raises(errors.CompactedError):
        log.entries(2, NO_LIMIT)
    assert (log.first_index(), log.term(2)) == (3, 1)


def test_persisted_entries_are_read_from_the_storage() -> None:
    stored = storage(1)
    log = RaftLog(stored)
    log.append(entries(2, 1, 2))
    taken = log.next_unstable_entries()
    log.append(entries(3, 3))  # overwrites while the former is being persisted
    stored.append(taken)
    log.stable_to(3, 2)
    assert rows(log.next_unstable_entries()) == [(2, 1), (3, 3)]
    stored.append(log.next_unstable_entries())
    log.stable_to(3, 3)
    assert not log.has_next_unstable_entries()
    assert content(log) == [(1, 1), (2, 1), (3, 3)]


def test_a_received_snapshot_takes_the_place_of_the_log() -> None:
    log = held()
    received = snapshot(9, 6, 1)
    log.restore(received)
    assert (log.first_index(), log.last_index(), log.last_term()) == (10, 9, 6)
    assert (log.committed, log.applied) == (9, 3)
    assert log.snapshot() is received
    assert log.next_unstable_snapshot() is received
    for index, error in ((8, errors.CompactedError), (10, errors.UnavailableError)):
        with pytest.raises(error):
            log.term(index)


def test_nothing_is_applied_before_a_snapshot_that_is_to_be_installed() -> None:
    stored = storage(2, 3, 3, after=(3, 2))
    log = RaftLog(stored)
    received = snapshot(9, 6, 1)
    log.restore(received)
    log.append(entries(10, 6))
    log.commit_to(10)
    assert log.has_pending_snapshot()
    assert not log.has_next_committed_entries(True)
    assert log.next_committed_entries(True) == []
    stored.apply_snapshot(received)
    stored.append(log.next_unstable_entries())
    log.stable_to(10, 6)
    log.stable_snap_to(9)
    log.applied_to(9)
    assert not log.has_pending_snapshot()
    assert log.next_unstable_snapshot() is None
    assert rows(log.next_committed_entries(False)) == [(10, 6)]
    assert log.snapshot() is received
