"""Entries of earlier terms (Ongaro and Ousterhout, 5.4.2, figure 8), and what persists."""

import pytest

from api.v1.raft_pb2 import RaftMessage
from tests.support.raft_entries import entries, rows
from tests.support.raft_group import group, lone, lone_leader, message

M = RaftMessage


def test_a_new_leader_appends_an_empty_entry_of_its_term() -> None:
    host = lone_leader(2, 2)
    assert host.log == [(2, 2), (3, 2), (4, 3)]
    [own] = host.storage.entries(4, 5, 0)
    assert own.data == b""


@pytest.mark.parametrize(("index", "committed"), [(2, 1), (3, 1), (4, 4)])
def test_a_leader_counts_only_entries_of_its_own_term(index: int, committed: int) -> None:
    host = lone_leader(2, 2)
    host.step(M.TYPE_APPEND_RESPONSE, 2, 3, index=index)
    assert host.raw.committed == committed


def test_figure_8() -> None:
    """An entry of term 2 is on a majority, and yet a leader of term 3 may overwrite it."""
    logs = {1: (2,), 2: (2,), 3: (2,), 4: (), 5: (3,)}
    members = group(1, 2, 3, 4, 5, logs=logs, term=3, pre_vote=False, check_quorum=False)
    # (c): 1 leads in term 4 with entry 2 of term 2 on three members. Its own entry gets nowhere.
    members.isolate(1, 2, 3, 4)
    members.only(
        lambda each: each.type != M.TYPE_APPEND or all(entry.term < 4 for entry in each.entries)
    )
    leader = members.elect(1)
    members.tick(3)
    assert {member: members[member].log[:1] for member in (1, 2, 3)} == {
        member: [(2, 2)] for member in (1, 2, 3)
    }
    assert leader.raw.committed == 1
    # (d): 5 wins with the votes of 2, 3 and 4, and overwrites it. Nothing that was applied is lost.
    members.heal()
    members.stop(1)
    members[5].raw.campaign()
    members.settle()
    members[5].raw.campaign()
    members.settle()
    assert members[5].raw.is_leader
    for member in (2, 3, 4):
        assert members[member].log[0] == (2, 3)
        assert (2, 3) in rows(members[member].applied)


def test_figure_8_with_the_entry_of_the_own_term_on_a_majority() -> None:
    """(e): now entry 2 is committed, and 5 cannot win any more."""
    logs = {1: (2,), 2: (2,), 3: (2,), 4: (), 5: (3,)}
    members = group(1, 2, 3, 4, 5, logs=logs, term=3, pre_vote=False, check_quorum=False)
    members.isolate(5)
    assert members.elect(1).raw.committed == 3
    members.heal()
    members.stop(1)
    for _ in range(3):
        members[5].raw.campaign()
        members.settle()
    assert not members[5].raw.is_leader
    assert rows(members[2].applied) == [(2, 2), (3, 4)]


def test_the_commit_index_of_a_heartbeat_is_what_is_known_to_match() -> None:
    host = lone_leader()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=2)
    host.raw.tick()
    host.raw.tick()
    beats = {each.to: each.commit for each in host.work() if each.type == M.TYPE_HEARTBEAT}
    assert beats == {2: 2, 3: 0}


def test_a_commit_index_never_falls() -> None:
    host = lone()
    host.step(M.TYPE_APPEND, 2, 2, index=1, log_term=1, commit=3, entries=entries(2, 2, 2))
    host.step(M.TYPE_HEARTBEAT, 2, 2, commit=1)
    host.step(M.TYPE_APPEND, 2, 2, index=3, log_term=2, commit=2)
    assert host.raw.committed == 3


def test_a_change_of_the_commit_index_alone_needs_no_fsync() -> None:
    host = lone(2)
    host.step(M.TYPE_HEARTBEAT, 2, 2)
    host.raw.step(message(M.TYPE_HEARTBEAT, 2, 1, 2, commit=2))
    ready = host.raw.ready()
    assert ready.hard_state is not None
    assert (ready.hard_state.commit, ready.must_sync) == (2, False)


def test_a_restarted_group_goes_on_with_all_that_was_committed() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.propose(b"a", b"b")
    members.restart(1, 2, 3)
    members.elect(2)
    assert [host.commands for host in members.hosts.values()] == [[b"a", b"b"]] * 3
