"""Learners, and how a new member comes in (Ongaro's thesis, 4.2.1)."""

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core.ready import Role
from tests.support.raft_entries import ADD, LEARN, conf_change
from tests.support.raft_group import group

M = RaftMessage


def test_a_learner_gets_all_entries_and_does_not_count() -> None:
    members = group(1, 2, learners=[3])
    members.elect(1)
    members.propose(b"a")
    assert members[3].commands == [b"a"]
    members.stop(2)
    members.propose(b"b")
    assert members[3].log[-1][0] == 4
    assert members[1].commands == [b"a"]


def test_a_learner_never_campaigns() -> None:
    members = group(1, 2, learners=[3])
    members.tick(60, 3)
    members[3].raw.campaign()
    members.settle()
    assert (members[3].role, members[3].raw.term) == (Role.FOLLOWER, 1)


def test_a_learner_answers_a_vote_request_for_it_may_be_a_voter_unknowingly() -> None:
    members = group(1, 2, learners=[3])
    [answer] = members[3].step(M.TYPE_VOTE, 1, 2, index=1, log_term=1)
    assert (answer.type, answer.reject) == (M.TYPE_VOTE_RESPONSE, False)


def test_the_vote_of_a_learner_does_not_count() -> None:
    members = group(1, 2, learners=[3], pre_vote=False)
    members[1].raw.campaign()
    members[1].work()
    members[1].step(M.TYPE_VOTE_RESPONSE, 3, 2)
    assert members[1].role is Role.CANDIDATE


def test_a_learner_does_not_keep_a_leader_in_office() -> None:
    members = group(1, 2, learners=[3])
    members.elect(1)
    members.stop(2)
    members.tick(21)
    assert not members[1].raw.is_leader


def test_a_learner_is_promoted_and_a_voter_demoted() -> None:
    members = group(1, 2, learners=[3])
    members.elect(1)
    members.change(conf_change((ADD, 3)))
    assert members[3].voters == [1, 2, 3]
    members.change(conf_change((LEARN, 2)))
    assert members[2].voters == [1, 3]
    assert members[3].raw.status().config.learners == {2}
    members.stop(2)
    members.propose(b"x")
    assert members[3].commands == [b"x"]


def test_a_new_member_gets_the_log_and_then_counts() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.propose(b"a")
    host = members.join(LEARN, 4)
    members.change(conf_change((ADD, 4)))
    assert host.commands == [b"a"]
    assert host.voters == [1, 2, 3, 4]
    members.stop(3)
    members.propose(b"b")
    assert host.commands == [b"a", b"b"]


def test_a_new_member_takes_a_snapshot_that_does_not_name_it_yet() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.propose(b"a")
    members[1].compact()
    members.propose(b"b")
    host = members.join(ADD, 4)
    assert host.commands == [b"b"]
    assert host.storage.snapshot().metadata.conf.voters == [1, 2, 3]
    assert host.voters == [1, 2, 3, 4]
