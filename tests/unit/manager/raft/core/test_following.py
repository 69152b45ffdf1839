"""What a member does at its leader's word."""

import pytest

from api.v1.raft_pb2 import ConfState, Entry, RaftMessage
from manager.raft.core.errors import InvariantError
from tests.support.raft_entries import REMOVE, conf_change, entries, snapshot
from tests.support.raft_lone import Lone

APPEND, HEARTBEAT = RaftMessage.TYPE_APPEND, RaftMessage.TYPE_HEARTBEAT
SNAPSHOT, APPEND_RESPONSE = RaftMessage.TYPE_SNAPSHOT, RaftMessage.TYPE_APPEND_RESPONSE


@pytest.mark.parametrize(
    ("previous", "terms", "commit", "index", "log", "committed"),
    [
        # The log is (1,1) (2,1) (3,2) (4,2), up to 2 all is committed.
        ((4, 2), (), 0, 4, [1, 2, 2], 2),  # nothing new
        ((4, 2), (2, 3), 0, 6, [1, 2, 2, 2, 3], 2),  # appended
        ((4, 2), (2,), 5, 5, [1, 2, 2, 2], 5),  # and committed
        ((4, 2), (2,), 9, 5, [1, 2, 2, 2], 5),  # no further than what was sent
        ((3, 2), (), 4, 3, [1, 2, 2], 3),  # though the log may go on
        ((2, 1), (2, 2), 0, 4, [1, 2, 2], 2),  # known already
        ((2, 1), (2,), 0, 3, [1, 2, 2], 2),  # known already, and nothing is cut off
        ((2, 1), (3,), 0, 3, [1, 3], 2),  # in conflict: the tail goes
        ((2, 1), (2, 3, 3), 3, 5, [1, 2, 3, 3], 3),
        ((1, 1), (1, 2), 0, 2, [1, 2, 2], 2),  # old: the committed index is the answer
    ],
)
def test_accepted_appends(
    previous: tuple[int, int],
    terms: tuple[int, ...],
    commit: int,
    index: int,
    log: list[int],
    committed: int,
) -> None:
    lone = Lone(1, 2, 2, term=3, commit=2)
    new = entries(previous[0] + 1, *terms)
    (said,) = lone.hear(
        APPEND, 2, index=previous[0], log_term=previous[1], entries=new, commit=commit
    )
    assert (said.type, said.to, said.index, said.reject) == (APPEND_RESPONSE, 2, index, False)
    assert (lone.terms, lone.raw.committed, lone.raw.leader) == (log, committed, 2)


@pytest.mark.parametrize(
    ("terms", "previous", "hint"),
    [
        ((1, 2, 2), (9, 5), (4, 2)),  # shorter
        ((1, 2, 2), (4, 3), (4, 2)),  # another term there
        ((1, 1, 4, 4, 5, 5), (7, 3), (3, 1)),  # a tail of terms too high to match
        ((2, 2), (3, 1), (1, 1)),
    ],
)
def test_rejected_appends_say_where_the_logs_may_match(
    terms: tuple[int, ...], previous: tuple[int, int], hint: tuple[int, int]
) -> None:
    lone = Lone(*terms, term=6)
    index, log_term = previous
    (said,) = lone.hear(
        APPEND, 2, index=index, log_term=log_term, entries=entries(index + 1, 6), commit=9
    )
    assert (said.type, said.reject, said.index) == (APPEND_RESPONSE, True, index)
    assert (said.reject_hint, said.log_term) == hint
    assert (lone.terms, lone.raw.committed) == (list(terms), 1)


def test_a_committed_entry_is_never_overwritten() -> None:
    lone = Lone(1, 1, commit=3)
    with pytest.raises(InvariantError):
        lone.hear(APPEND, 2, term=5, index=3, log_term=1, entries=entries(2, 5))
    assert lone.terms == [1, 1]


def test_heartbeats_commit_and_are_answered_with_their_context() -> None:
    lone = Lone(1, 1)
    (said,) = lone.hear(HEARTBEAT, 2, commit=2, context=b"token")
    assert (said.type, said.to, said.context) == (
        RaftMessage.TYPE_HEARTBEAT_RESPONSE,
        2,
        b"token",
    )
    assert lone.raw.committed == 2
    lone.hear(HEARTBEAT, 2, commit=1)
    assert lone.raw.committed == 2


def test_a_heartbeat_beyond_the_log_tells_of_a_lost_log() -> None:
    with pytest.raises(InvariantError, match="the last is 1"):
        Lone().hear(HEARTBEAT, 2, commit=2)


def test_answers_leave_after_the_fsync() -> None:
    lone = Lone()
    lone.raw.step(lone.message(APPEND, 2, index=1, log_term=1, entries=entries(2, 1), commit=2))
    ready = lone.raw.ready()
    assert (ready.early, ready.must_sync) == ([], True)
    assert [each.type for each in ready.late] == [APPEND_RESPONSE]
    assert ready.committed_entries == ready.entries == entries(2, 1)


# Snapshots.


def test_a_snapshot_replaces_the_log_and_the_configuration() -> None:
    lone = Lone(1, 2, term=3, commit=2)
    lone.raw.step(lone.message(SNAPSHOT, 2, snapshot=snapshot(9, 3, 1, 2, 4, learners=[5])))
    ready = lone.raw.ready()
    assert ready.snapshot is not None
    assert (ready.snapshot.metadata.index, ready.must_sync, ready.committed_entries) == (
        9,
        True,
        [],
    )
    assert ready.hard_state is not None
    assert ready.hard_state.commit == 9
    assert [(each.type, each.index) for each in ready.late] == [(APPEND_RESPONSE, 9)]
    assert ready.early == []
    lone.obey(ready)
    assert lone.raw.applied == 9
    conf = ConfState(voters=[1, 2, 4], learners=[5])
    assert lone.raw.status().config.conf_state() == conf
    (said,) = lone.hear(APPEND, 2, index=9, log_term=3, entries=entries(10, 3), commit=10)
    assert (said.index, lone.raw.applied) == (10, 10)


@pytest.mark.parametrize("index", [1, 2])
def test_an_old_snapshot_is_answered_with_the_commit_index(index: int) -> None:
    lone = Lone(1, 1, commit=2)
    (said,) = lone.hear(SNAPSHOT, 2, snapshot=snapshot(index, 1, 1, 2, 3))
    assert (said.type, said.index, lone.terms) == (APPEND_RESPONSE, 2, [1, 1])


def test_a_snapshot_of_what_the_log_has_only_commits() -> None:
    lone = Lone(1, 1, 1, commit=2)
    lone.raw.step(lone.message(SNAPSHOT, 2, snapshot=snapshot(3, 1, 1, 2, 3)))
    ready = lone.raw.ready()
    assert (ready.snapshot, lone.raw.committed) == (None, 3)
    assert [each.index for each in ready.messages] == [3]
    lone.obey(ready)
    assert lone.terms == [1, 1, 1]


def test_a_snapshot_need_not_name_the_joiner_that_it_helps() -> None:
    lone = Lone(id=4, conf=ConfState())
    (said,) = lone.hear(SNAPSHOT, 1, snapshot=snapshot(5, 1, 1, 2, 3))
    assert (said.index, lone.raw.applied) == (5, 5)
    lone.raw.campaign()
    assert not lone.raw.has_ready()


def test_an_old_change_is_not_applied_on_top_of_a_newer_snapshot() -> None:
    """A Ready is out with a change to apply when a snapshot comes that already contains it."""
    lone = Lone()
    lone.hear(HEARTBEAT, 2)
    change = Entry(term=1, index=2, type=Entry.TYPE_CONF_CHANGE, data=b"not read")
    lone.raw.step(lone.message(APPEND, 2, index=1, log_term=1, entries=[change], commit=2))
    ready = lone.raw.ready()
    lone.persist(ready)
    lone.raw.step(lone.message(SNAPSHOT, 2, snapshot=snapshot(9, 1, 1, 2, 4)))
    conf = lone.raw.apply_conf_change(conf_change((REMOVE, 4)))
    assert conf.voters == [1, 2, 4]
    lone.raw.advance()
    assert lone.raw.applied == 2
    lone.work()
    assert lone.raw.applied == 9


def test_the_own_snapshot_is_advanced_though_a_newer_one_came_meanwhile() -> None:
    lone = Lone()
    lone.raw.step(lone.message(SNAPSHOT, 2, snapshot=snapshot(5, 1, 1, 2, 3)))
    ready = lone.raw.ready()
    lone.raw.step(lone.message(SNAPSHOT, 2, snapshot=snapshot(9, 1, 1, 2, 3)))
    lone.obey(ready)
    assert lone.raw.applied == 5
    ready = lone.raw.ready()
    assert ready.snapshot is not None
    assert ready.snapshot.metadata.index == 9
    lone.obey(ready)
    assert lone.raw.applied == 9
