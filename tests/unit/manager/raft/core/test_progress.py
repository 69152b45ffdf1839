"""What a leader may send to one member: the three states, their changes, and flow control."""

from typing import Any

import pytest

from manager.raft.core.config import NO_LIMIT
from manager.raft.core.errors import InvariantError
from manager.raft.core.inflights import Inflights
from manager.raft.core.progress import Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


def progress(state: ProgressState = PROBE, window: int = 3, **fields: Any) -> Progress:
    made = Progress(inflights=Inflights(window, NO_LIMIT))
    made.state = state
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("state", "pending", "match", "following"),
    [(PROBE, 0, 1, 2), (REPLICATE, 0, 1, 2), (SNAPSHOT, 10, 1, 11), (SNAPSHOT, 2, 5, 6)],
)
def test_become_probe(state: ProgressState, pending: int, match: int, following: int) -> None:
    made = progress(
        state, pending_snapshot=pending, match=match, next=20, probe_paused=True, sent_commit=19
    )
    made.inflights.add(7, 1)
    made.become_probe()
    assert (made.state, made.match, made.next) == (PROBE, match, following)
    assert (made.pending_snapshot, made.probe_paused, made.inflights.count) == (0, False, 0)
    assert made.sent_commit == following - 1


def test_become_replicate() -> None:
    made = progress(match=4, next=9, probe_paused=True, sent_commit=8)
    made.become_replicate()
    assert (made.state, made.next, made.probe_paused, made.sent_commit) == (REPLICATE, 5, False, 4)


def test_a_lower_sent_commit_stays() -> None:
    made = progress(match=4, next=9, sent_commit=2)
    made.become_replicate()
    assert made.sent_commit == 2
    made.become_probe()
    assert made.sent_commit == 2


def test_become_snapshot() -> None:
    made = progress(REPLICATE, match=1, next=5, sent_commit=3)
    made.inflights.add(4, 1)
    made.become_snapshot(10)
    assert (made.state, made.pending_snapshot, made.next, made.match) == (SNAPSHOT, 10, 11, 1)
    assert (made.inflights.count, made.sent_commit) == (0, 10)


@pytest.mark.parametrize(
    ("state", "paused", "is_paused"),
    [
        (PROBE, False, False),
        (PROBE, True, True),
        (REPLICATE, False, False),
        (REPLICATE, True, True),
        (SNAPSHOT, False, True),
        (SNAPSHOT, True, True),
    ],
)
def test_is_paused(state: ProgressState, paused: bool, is_paused: bool) -> None:
    assert progress(state, probe_paused=paused).is_paused() is is_paused


def test_a_probe_with_entries_waits_for_its_answer() -> None:
    made = progress(match=3, next=4)
    made.sent_entries(0, 0)
    assert not made.is_paused()
    made.sent_entries(2, 9)
    assert (made.is_paused(), made.next, made.inflights.count) == (True, 4, 0)
    made.sent_entries(0, 0)
    assert made.is_paused()


def test_a_stream_runs_ahead_until_its_window_is_full() -> None:
    made = progress(REPLICATE, window=2, match=3, next=4)
    made.sent_entries(2, 9)
    assert (made.is_paused(), made.next, made.inflights.count) == (False, 6, 1)
    made.sent_entries(0, 0)
    assert (made.is_paused(), made.next, made.inflights.count) == (False, 6, 1)
    made.sent_entries(1, 9)
    assert (made.is_paused(), made.next, made.inflights.count) == (True, 7, 2)


def test_into_a_full_window_one_empty_append_goes_each_time_it_is_unpaused() -> None:
    made = progress(REPLICATE, window=1, match=3, next=4)
    made.sent_entries(1, 9)
    made.probe_paused = False  # as by an answer to a heartbeat
    assert made.inflights.full()
    made.sent_entries(0, 0)
    assert (made.is_paused(), made.next, made.inflights.count) == (True, 5, 1)


def test_nothing_is_sent_beside_a_snapshot() -> None:
    with pytest.raises(InvariantError, match="a snapshot is on its way"):
        progress(SNAPSHOT).sent_entries(1, 1)


@pytest.mark.parametrize(
    ("index", "sent", "following", "news"),
    [(5, 4, 9, True), (4, 4, 9, False), (3, 4, 9, False), (9, 7, 8, False), (9, 6, 8, True)],
)
def test_a_commit_index_is_sent_if_it_may_be_news(
    index: int, sent: int, following: int, news: bool
) -> None:
    assert progress(REPLICATE, sent_commit=sent, next=following).can_bump_commit(index) is news


@pytest.mark.parametrize(
    ("index", "news", "match", "following"),
    [(2, False, 3, 5), (3, False, 3, 5), (4, True, 4, 5), (5, True, 5, 6), (9, True, 9, 10)],
)
def test_maybe_update(index: int, news: bool, match: int, following: int) -> None:
    made = progress(match=3, next=5, probe_paused=True)
    assert made.maybe_update(index) is news
    assert (made.match, made.next, made.probe_paused) == (match, following, not news)


@pytest.mark.parametrize(
    ("state", "match", "following", "rejected", "hint", "news", "after"),
    [
        (REPLICATE, 5, 10, 5, 5, False, 10),
        (REPLICATE, 5, 10, 4, 4, False, 10),
        (REPLICATE, 5, 10, 9, 9, True, 6),
        (PROBE, 0, 10, 8, 8, False, 10),  # of an earlier probe
        (PROBE, 0, 10, 10, 9, False, 10),
        (PROBE, 0, 10, 9, 9, True, 9),
        (PROBE, 0, 10, 9, 2, True, 3),
        (PROBE, 0, 10, 9, 0, True, 1),
        (PROBE, 0, 1, 0, 0, True, 1),
        (PROBE, 4, 10, 9, 2, True, 5),  # never back behind what is known to match
        (SNAPSHOT, 4, 10, 9, 7, True, 8),
    ],
)
def test_maybe_decrement(
    state: ProgressState,
    match: int,
    following: int,
    rejected: int,
    hint: int,
    news: bool,
    after: int,
) -> None:
    made = progress(state, match=match, next=following, probe_paused=True, sent_commit=9)
    assert made.maybe_decrement(rejected, hint) is news
    assert (made.match, made.next) == (match, after)
    assert made.sent_commit == (after - 1 if news else 9)
    assert made.probe_paused is (not news or state is REPLICATE)


def test_a_copy_goes_its_own_way() -> None:
    made = progress(
        SNAPSHOT,
        match=3,
        next=9,
        pending_snapshot=8,
        probe_paused=True,
        recent_active=True,
        is_learner=True,
        sent_commit=2,
    )
    made.inflights.add(4, 1)
    copy = made.copy()
    names = [name for name in Progress.__slots__ if name != "inflights"]
    assert [getattr(copy, name) for name in names] == [getattr(made, name) for name in names]
    copy.inflights.reset()
    copy.become_probe()
    assert (made.state, made.inflights.count) == (SNAPSHOT, 1)
