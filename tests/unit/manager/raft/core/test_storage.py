"""The storage in memory, call by call."""

from collections.abc import Callable

import pytest

from api.v1.raft_pb2 import ConfState, HardState, Member
from manager.raft.core import errors
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.storage import (
    ENTRY_OVERHEAD,
    MemoryStorage,
    limit_size,
    message_size,
    payload_size,
)
from tests.support.raft_entries import Row, entries, rows, snapshot, storage


def held() -> MemoryStorage:
    """Entries 4 to 6 of terms 4 5 6, behind a snapshot at (3, 3)."""
    return storage(4, 5, 6, after=(3, 3))


def all_of(log: MemoryStorage) -> list[Row]:
    return rows(log.entries(log.first_index(), log.last_index() + 1, NO_LIMIT))


def test_an_entry_is_never_larger_in_a_message_than_reckoned() -> None:
    [entry] = entries(1 << 42, 1 << 42, data=b"x" * 200)
    entry.index -= 1
    entry.term -= 1
    entry.type = entry.TYPE_CONF_CHANGE
    tag_and_length = 3
    assert entry.ByteSize() + tag_and_length <= message_size([entry])


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        (0, 1),
        (10 + ENTRY_OVERHEAD, 1),
        (2 * (10 + ENTRY_OVERHEAD) - 1, 1),
        (2 * (10 + ENTRY_OVERHEAD), 2),
        (3 * (10 + ENTRY_OVERHEAD), 3),
        (NO_LIMIT, 3),
    ],
)
def test_a_limit_lets_at_least_one_entry_pass(limit: int, count: int) -> None:
    log = entries(1, 1, 1, 1, data=b"0123456789")
    assert rows(limit_size(log, limit)) == rows(log[:count])
    assert limit_size([], limit) == []


def test_sizes_count_the_data() -> None:
    log = entries(1, 1, 1, data=b"0123456789")
    assert payload_size(log) == 20
    assert message_size(log) == 20 + 2 * ENTRY_OVERHEAD


def test_an_empty_storage() -> None:
    log = MemoryStorage()
    assert log.initial_state() == (HardState(), ConfState())
    assert (log.first_index(), log.last_index(), log.term(0)) == (1, 0, 0)
    assert log.snapshot().metadata.index == 0
    assert log.entries(1, 1, NO_LIMIT) == []


def test_the_initial_state_is_the_hard_state_and_the_snapshots_configuration() -> None:
    log = storage(after=(3, 3), voters=[1, 2])
    log.set_hard_state(HardState(term=5, vote=2, commit=3))
    assert log.initial_state() == (
        HardState(term=5, vote=2, commit=3),
        ConfState(voters=[1, 2]),
    )


@pytest.mark.parametrize(("index", "term"), [(3, 3), (4, 4), (5, 5), (6, 6)])
def test_terms_are_known_from_the_compacted_entry_on(index: int, term: int) -> None:
    assert held().term(index) == term


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda log: log.term(2), errors.CompactedError),
        (lambda log: log.term(7), errors.UnavailableError),
        (lambda log: log.entries(3, 5, NO_LIMIT), errors.CompactedError),
        (lambda log: log.entries(4, 8, NO_LIMIT), errors.UnavailableError),
        (lambda log: log.append(entries(8, 6)), errors.InvariantError),
        (lambda log: log.apply_snapshot(snapshot(3, 3)), errors.SnapshotOutOfDateError),
        (lambda log: log.apply_snapshot(snapshot(2, 2)), errors.SnapshotOutOfDateError),
        (lambda log: log.create_snapshot(3, ConfState()), errors.SnapshotOutOfDateError),
        (lambda log: log.create_snapshot(7, ConfState()), errors.UnavailableError),
        (lambda log: log.compact(3), errors.CompactedError),
        (lambda log: log.compact(2), errors.CompactedError),
        (lambda log: log.compact(7), errors.UnavailableError),
    ],
)
def test_what_is_refused_changes_nothing(
    call: Callable[[MemoryStorage], object], error: type[errors.RaftError]
) -> None:
    log = held()
    with pytest.raises(error):
        call(log)
    assert all_of(log) == [(4, 4), (5, 5), (6, 6)]
    assert (log.first_index(), log.snapshot().metadata.index) == (4, 3)


@pytest.mark.parametrize(
    ("low", "high", "limit", "found"),
    [
        (4, 7, NO_LIMIT, [(4, 4), (5, 5), (6, 6)]),
        (4, 6, NO_LIMIT, [(4, 4), (5, 5)]),
        (5, 6, NO_LIMIT, [(5, 5)]),
        (6, 6, NO_LIMIT, []),
        (4, 7, 0, [(4, 4)]),
        (4, 7, 2 * ENTRY_OVERHEAD, [(4, 4), (5, 5)]),
    ],
)
def test_entries_of_a_range(low: int, high: int, limit: int, found: list[Row]) -> None:
    assert rows(held().entries(low, high, limit)) == found


@pytest.mark.parametrize(
    ("first", "terms", "after"),
    [
        (7, (), [(4, 4), (5, 5), (6, 6)]),
        (7, (6, 7), [(4, 4), (5, 5), (6, 6), (7, 6), (8, 7)]),
        (5, (7,), [(4, 4), (5, 7)]),
        (4, (4, 5, 6), [(4, 4), (5, 5), (6, 6)]),
        (2, (2, 3), [(4, 4), (5, 5), (6, 6)]),
        (2, (2, 3, 7), [(4, 7)]),
        (4, (9, 9, 9, 9), [(4, 9), (5, 9), (6, 9), (7, 9)]),
    ],
)
def test_append_overwrites_from_the_first_index_on(
    first: int, terms: tuple[int, ...], after: list[Row]
) -> None:
    log = held()
    log.append(entries(first, *terms))
    assert all_of(log) == after


@pytest.mark.parametrize("index", [4, 5, 6])
def test_compact_keeps_the_term_of_the_last_that_went(index: int) -> None:
    log = held()
    log.compact(index)
    assert (log.first_index(), log.last_index()) == (index + 1, 6)
    assert log.term(index) == index
    assert all_of(log) == [(each, each) for each in range(index + 1, 7)]


def test_a_snapshot_is_made_of_the_log_and_leaves_it_alone() -> None:
    log = held()
    conf, members = ConfState(voters=[1]), [Member(raft_id=1, address="a:1")]
    made = log.create_snapshot(5, conf, b"state", members=members, removed=[7])
    assert log.snapshot() is made
    assert (made.metadata.index, made.metadata.term, made.data) == (5, 5, b"state")
    assert (made.metadata.conf, list(made.metadata.members)) == (conf, members)
    assert made.metadata.removed == [7]
    assert log.initial_state()[1] == conf
    assert log.first_index() == 4


def test_a_received_snapshot_restarts_the_log() -> None:
    log = held()
    log.apply_snapshot(snapshot(5, 9, 1, 2))
    assert (log.first_index(), log.last_index(), log.term(5)) == (6, 5, 9)
    assert log.initial_state()[1] == ConfState(voters=[1, 2])
    log.append(entries(6, 9))
    assert all_of(log) == [(6, 9)]
