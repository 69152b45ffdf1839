"""ReadIndex: who answers, when, and with what."""

import pytest

from api.v1.raft_pb2 import ConfState, Entry, RaftMessage
from manager.raft.core.reads import MAX_WAITING
from tests.support.raft_entries import REMOVE, conf_change
from tests.support.raft_group import Group, group
from tests.support.raft_lone import Lone, kinds

HEARTBEAT, HEARTBEAT_RESPONSE = RaftMessage.TYPE_HEARTBEAT, RaftMessage.TYPE_HEARTBEAT_RESPONSE
READ_INDEX = RaftMessage.TYPE_READ_INDEX
READ_INDEX_RESPONSE = RaftMessage.TYPE_READ_INDEX_RESPONSE
CONTEXT = [Entry(data=b"r")]


def trio() -> Group:
    made = group(1, 2, 3)
    made.elect(1)
    made.forget()
    return made


@pytest.mark.parametrize("member", [1, 2])
def test_a_read_is_answered_where_it_was_asked(member: int) -> None:
    made = trio()
    made.propose(b"x")
    made[member].raw.read_index(b"r")
    made.settle()
    assert {each: host.reads for each, host in made.hosts.items() if host.reads} == {
        member: {b"r": 3}
    }


def test_a_leader_alone_answers_at_once() -> None:
    lone = Lone(conf=ConfState(voters=[1], learners=[2]))
    lone.lead()
    lone.raw.read_index(b"r")
    ready = lone.raw.ready()
    assert [(each.index, each.context) for each in ready.read_states] == [(2, b"r")]
    assert ready.messages == []


def test_a_leader_without_its_followers_answers_nothing() -> None:
    made = trio()
    made.isolate(1)
    made[1].raw.read_index(b"r")
    made.settle()
    assert made[1].reads == {}
    made.heal()
    made.tick(2)
    assert made[1].reads == {b"r": 2}


def test_the_index_is_that_of_asking() -> None:
    lone = Lone()
    lone.lead(heard=[2, 3])
    lone.raw.read_index(b"r")
    said = lone.work()
    assert kinds(said) == [("HEARTBEAT", 2), ("HEARTBEAT", 3)]
    lone.raw.propose(b"x")
    lone.work()
    lone.accept(2)
    assert lone.raw.committed == 3
    lone.hear(HEARTBEAT_RESPONSE, 2, context=said[0].context)
    assert lone.reads == {b"r": 2}


def test_an_answer_to_an_earlier_heartbeat_confirms_nothing() -> None:
    lone = Lone()
    lone.lead(heard=[2, 3])
    before = lone.tick(2)[0]
    lone.raw.read_index(b"r")
    lone.work()
    lone.hear(HEARTBEAT_RESPONSE, 2, context=before.context)
    assert lone.reads == {}


def test_a_new_leader_answers_after_the_first_commit_of_its_term() -> None:
    lone = Lone(1)
    lone.lead()
    lone.raw.read_index(b"own")
    lone.hear(READ_INDEX, 2, term=0, entries=CONTEXT)
    assert lone.work() == []
    said = lone.accept(2)
    beats = [each for each in said if each.type == HEARTBEAT]
    assert kinds(beats) == [("HEARTBEAT", 2), ("HEARTBEAT", 3)]
    (answer,) = lone.hear(HEARTBEAT_RESPONSE, 3, context=beats[0].context)[-1:]
    assert (answer.type, answer.to, answer.index) == (READ_INDEX_RESPONSE, 2, 3)
    assert list(answer.entries) == CONTEXT
    assert lone.reads == {b"own": 3}


def test_requests_that_wait_for_the_first_commit_are_bounded() -> None:
    lone = Lone()
    lone.lead()
    for each in range(MAX_WAITING + 1):
        lone.raw.read_index(b"%d" % each)
    (beat, _) = [each for each in lone.accept(2) if each.type == HEARTBEAT]
    lone.hear(HEARTBEAT_RESPONSE, 3, context=beat.context)
    assert list(lone.reads) == [b"%d" % each for each in range(MAX_WAITING)]


def test_a_lost_leadership_loses_its_reads() -> None:
    lone = Lone()
    lone.lead()
    lone.raw.read_index(b"early")
    lone.accept(2)
    lone.raw.read_index(b"late")
    lone.hear(HEARTBEAT, 2, term=9)
    lone.lead(heard=[2])
    beat = lone.tick(2)[0]
    lone.hear(HEARTBEAT_RESPONSE, 2, context=b"\0" * 7 + b"\1")
    assert (beat.context, lone.reads) == (b"", {})


def test_a_lost_leadership_loses_the_reads_that_waited_for_its_first_commit() -> None:
    lone = Lone()
    lone.lead()
    lone.raw.read_index(b"early")
    lone.hear(HEARTBEAT, 2, term=9)
    lone.lead(heard=[2])
    assert {each.context for each in lone.tick(2)} == {b""}


def test_without_a_leader_nobody_is_asked() -> None:
    lone = Lone()
    lone.raw.read_index(b"r")
    assert not lone.raw.has_ready()
    assert lone.hear(READ_INDEX, 2, term=0, entries=CONTEXT) == []


def test_a_follower_asks_its_leader_in_no_term() -> None:
    lone = Lone()
    lone.hear(HEARTBEAT, 2)
    lone.raw.read_index(b"r")
    (said,) = lone.work()
    assert (said.type, said.to, said.term, list(said.entries)) == (READ_INDEX, 2, 0, CONTEXT)
    lone.hear(READ_INDEX_RESPONSE, 2, index=7, entries=CONTEXT)
    assert lone.reads == {b"r": 7}


def test_a_quorum_that_shrinks_to_the_leader_releases_its_reads() -> None:
    made = group(1, 2)
    made.elect(1)
    made[1].raw.propose_conf_change(conf_change((REMOVE, 2)))
    made.drop(HEARTBEAT)
    made[1].raw.read_index(b"r")
    made.settle()
    assert made[1].reads == {b"r": 2}
