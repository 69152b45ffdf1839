"""Linearizable reads without a log entry (Ongaro's thesis, 6.4): ReadIndex."""

import pytest

from api.v1.raft_pb2 import Entry, RaftMessage
from tests.support.raft_entries import REMOVE, conf_change
from tests.support.raft_group import Group, group, lone_leader

M = RaftMessage


def led() -> Group:
    members = group(1, 2, 3)
    members.elect(1)
    members.propose(b"a")
    members.forget()
    return members


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_read_gets_the_commit_index_of_its_time(asked: int) -> None:
    members = led()
    members[asked].raw.read_index(b"r")
    members.settle()
    assert members[asked].reads == {b"r": 3}
    assert not [host for host in members.hosts.values() if host.id != asked and host.reads]


def test_a_read_costs_a_round_of_heartbeats_and_no_entry() -> None:
    members = led()
    members[1].raw.read_index(b"r")
    members.settle()
    assert {each.type for each in members.sent} == {M.TYPE_HEARTBEAT, M.TYPE_HEARTBEAT_RESPONSE}
    assert all(each.context for each in members.said(M.TYPE_HEARTBEAT))
    assert members[1].log[-1] == (3, 2)


def test_a_leader_that_is_cut_off_does_not_answer() -> None:
    members = led()
    members.isolate(1)
    members[1].raw.read_index(b"r")
    members.tick(5)
    assert members[1].raw.is_leader
    assert members[1].reads == {}


def test_a_deposed_leader_never_answers_what_it_was_asked() -> None:
    members = led()
    members.isolate(1)
    members[1].raw.read_index(b"old")
    members.tick(10, 2, 3)
    members.tick(15, 2)
    members.propose(b"newer")
    assert members.leader().id == 2
    members.heal()
    members.tick(10)
    assert members[1].raw.leader == 2
    assert members[1].reads == {}
    members[1].raw.read_index(b"new")
    members.settle()
    assert members[1].reads == {b"new": members[2].raw.committed}


@pytest.mark.parametrize(
    ("voters", "confirmed", "answered"),
    [
        ((1,), (), True),
        ((1, 2), (), False),
        ((1, 2), (2,), True),
        ((1, 2, 3), (3,), True),
        ((1, 2, 3, 4), (3,), False),
        ((1, 2, 3, 4), (3, 4), True),
        ((1, 2, 3, 4, 5), (2, 2, 2), False),  # the same member again and again
    ],
)
def test_a_majority_has_to_confirm(
    voters: tuple[int, ...], confirmed: tuple[int, ...], answered: bool
) -> None:
    host = lone_leader(voters=voters)
    for member in voters[1:]:
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    host.raw.read_index(b"r")
    beats = {each.to: each for each in host.work() if each.type == M.TYPE_HEARTBEAT}
    for member in confirmed:
        host.step(M.TYPE_HEARTBEAT_RESPONSE, member, 2, context=beats[member].context)
    assert (host.reads == {b"r": 2}) is answered


def test_an_answer_to_an_earlier_heartbeat_confirms_nothing() -> None:
    host = lone_leader()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=2)
    host.raw.read_index(b"first")
    early = next(each for each in host.work() if each.type == M.TYPE_HEARTBEAT).context
    host.raw.read_index(b"second")
    host.work()
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2)
    assert host.reads == {}
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2, context=early)
    assert host.reads == {b"first": 2}


def test_one_round_confirms_all_reads_before_it() -> None:
    host = lone_leader()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=2)
    for context in (b"a", b"b", b"c"):
        host.raw.read_index(context)
    last = [each for each in host.work() if each.type == M.TYPE_HEARTBEAT][-1].context
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 3, 2, context=last)
    assert host.reads == {b"a": 2, b"b": 2, b"c": 2}


def test_a_lost_round_is_repeated_by_the_next_heartbeat() -> None:
    members = led()
    members.drop(M.TYPE_HEARTBEAT)
    members[1].raw.read_index(b"r")
    members.settle()
    assert members[1].reads == {}
    members.heal()
    members.tick(2)
    assert members[1].reads == {b"r": 3}


def test_a_learners_confirmation_does_not_count() -> None:
    members = group(1, 2, learners=[3])
    members.elect(1)
    members.stop(2)
    members[1].raw.read_index(b"r")
    members.tick(3)
    assert members[1].reads == {}
    members[3].raw.read_index(b"s")
    members.restart(2)
    members.tick(3)
    assert members[1].reads == {b"r": 2}
    assert members[3].reads == {b"s": 2}


def test_a_new_leader_answers_only_after_a_commit_of_its_own_term() -> None:
    """Before that it may not know what its predecessors committed."""
    members = led()
    members.stop(1)
    members.tick(10, 2, 3)
    members.drop(M.TYPE_APPEND_RESPONSE)
    members.elect(2)
    members[2].raw.read_index(b"own")
    members[3].raw.read_index(b"others")
    members.settle()
    members.tick(2)
    assert members[2].reads == members[3].reads == {}
    members.heal()
    members.tick(5)
    assert members[2].reads == {b"own": 4}
    assert members[3].reads == {b"others": 4}


def test_a_sole_voter_waits_for_its_first_commit_too() -> None:
    members = group(1)
    host = members[1]
    host.raw.campaign()
    while not host.raw.is_leader:
        ready = host.raw.ready()
        host.persist(ready)
        host.finish(ready)
    host.raw.read_index(b"r")
    ready = host.raw.ready()
    assert ready.read_states == []
    host.persist(ready)
    host.finish(ready)
    host.work()
    assert host.reads == {b"r": 2}


def test_without_a_leader_a_read_is_lost_in_silence() -> None:
    members = group(1, 2, 3)
    members[1].raw.read_index(b"r")
    members.settle()
    assert members.sent == []
    members.elect(2)
    members.tick(5)
    assert members[1].reads == {}


def test_requests_carry_no_term() -> None:
    members = led()
    members[2].raw.read_index(b"r")
    members.settle()
    [request] = members.said(M.TYPE_READ_INDEX)
    assert (request.term, list(request.entries)) == (0, [Entry(data=b"r")])


def test_a_late_answer_takes_nothing_back() -> None:
    host = lone_leader(voters=(1, 2, 3, 4, 5))
    for member in (2, 3):
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    tokens = []
    for context in (b"first", b"second"):
        host.raw.read_index(context)
        beats = [each for each in host.work() if each.type == M.TYPE_HEARTBEAT]
        tokens.append(beats[-1].context)
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2, context=tokens[1])
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2, context=tokens[0])
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 3, 2, context=tokens[1])
    assert host.reads == {b"first": 2, b"second": 2}


def test_an_answer_to_a_heartbeat_that_was_never_sent_confirms_nothing() -> None:
    host = lone_leader()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=2)
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2, context=b"\xff" * 8)
    host.raw.read_index(b"r")
    host.work()
    assert host.reads == {}


def test_a_quorum_that_shrinks_may_have_confirmed_already() -> None:
    host = lone_leader(voters=(1, 2, 3, 4))
    for member in (2, 3, 4):
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    host.raw.read_index(b"r")
    beats = [each for each in host.work() if each.type == M.TYPE_HEARTBEAT]
    host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2, context=beats[0].context)
    assert host.reads == {}
    index = host.raw.propose_conf_change(conf_change((REMOVE, 4)))
    host.work()
    for member in (2, 3):
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=index)
    assert host.reads == {b"r": 2}
