"""Handing over leadership (Ongaro's thesis, 3.10)."""

import pytest

from api.v1.raft_pb2 import ConfChange, RaftMessage
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.ready import Role
from tests.support.raft_entries import LEARN, REMOVE, conf_change
from tests.support.raft_group import Group, group

M = RaftMessage


def led() -> Group:
    members = group(1, 2, 3)
    members.elect(1)
    members.forget()
    return members


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_the_target_takes_over_without_waiting_for_a_timeout(asked: int) -> None:
    members = led()
    members[asked].raw.transfer_leader(3)
    members.settle()
    assert members[3].raw.is_leader
    assert members[1].role is Role.FOLLOWER
    assert members[1].raw.term == 3


def test_the_lease_of_the_old_leader_does_not_hinder_and_no_pre_vote_is_asked() -> None:
    members = led()
    members[1].raw.transfer_leader(2)
    members.settle()
    assert members.said(M.TYPE_PRE_VOTE) == []
    assert all(each.context for each in members.said(M.TYPE_VOTE))


def test_the_target_is_brought_up_to_date_first() -> None:
    members = led()
    members.isolate(3)
    members.propose(b"a")
    members.heal()
    members.forget()
    members[1].raw.transfer_leader(3)
    members.settle()
    members.tick(3)
    assert members[3].raw.is_leader
    assert members[3].commands == [b"a"]
    [now] = members.said(M.TYPE_TIMEOUT_NOW)
    before = members.sent[: members.sent.index(now)]
    assert any(each.type == M.TYPE_APPEND_RESPONSE and not each.reject for each in before)


def test_a_target_so_far_behind_that_it_needs_a_snapshot() -> None:
    members = led()
    members.isolate(3)
    members.propose(b"a")
    members[1].compact()
    members.heal()
    members[1].raw.transfer_leader(3)
    members.settle()
    members.tick(4)
    assert members[3].raw.is_leader


def test_proposals_are_dropped_meanwhile() -> None:
    members = led()
    members.stop(3)
    members[1].raw.transfer_leader(3)
    with pytest.raises(ProposalDroppedError) as caught:
        members[1].raw.propose(b"x")
    assert caught.value.reason is DropReason.TRANSFERRING
    assert members[1].raw.status().transfer_target == 3


def test_it_is_given_up_after_one_election_timeout() -> None:
    members = led()
    members.stop(3)
    members[1].raw.transfer_leader(3)
    members.tick(9)
    assert members[1].raw.status().transfer_target == 3
    members.tick(1)
    assert members[1].raw.status().transfer_target == 0
    members.propose(b"x")
    assert members[2].commands == [b"x"]


def test_asking_again_for_the_same_target_does_not_begin_anew() -> None:
    members = led()
    members.stop(3)
    members[1].raw.transfer_leader(3)
    members.tick(6)
    members[1].raw.transfer_leader(3)
    members.tick(4)
    assert members[1].raw.status().transfer_target == 0


def test_another_target_takes_the_place_of_the_first() -> None:
    members = led()
    members.stop(3)
    members[1].raw.transfer_leader(3)
    members[1].raw.transfer_leader(2)
    members.settle()
    assert members[2].raw.is_leader


def test_asking_for_the_leader_itself_ends_a_transfer() -> None:
    members = led()
    members.stop(3)
    members[1].raw.transfer_leader(3)
    members[1].raw.transfer_leader(1)
    assert members[1].raw.status().transfer_target == 0
    members.propose(b"x")
    assert members[2].commands == [b"x"]


@pytest.mark.parametrize("target", [7, 4])
def test_a_stranger_or_a_learner_is_no_target(target: int) -> None:
    members = group(1, 2, 3, learners=[4])
    members.elect(1)
    members[1].raw.transfer_leader(target)
    members.tick(3)
    assert members[1].raw.status().transfer_target == 0
    members.propose(b"x")
    assert members[2].commands == [b"x"]


@pytest.mark.parametrize("change", [conf_change((REMOVE, 3)), conf_change((LEARN, 3))])
def test_it_ends_when_the_target_stops_being_a_voter(change: ConfChange) -> None:
    members = led()
    members.stop(2, 3)
    members[1].raw.propose_conf_change(change)
    members.settle()
    members[1].raw.transfer_leader(3)
    members.restart(2)
    members.tick(3)
    assert members[1].raw.status().transfer_target == 0
    assert members[1].raw.is_leader


def test_only_a_voter_obeys_timeout_now() -> None:
    members = group(1, 2, 3, learners=[4])
    members.elect(1)
    members[4].step(M.TYPE_TIMEOUT_NOW, 1, 2)
    assert members[4].role is Role.FOLLOWER
    members[2].step(M.TYPE_TIMEOUT_NOW, 1, 1)  # of a leader of an earlier term
    assert members[2].role is Role.FOLLOWER


def test_without_a_leader_it_is_in_vain() -> None:
    members = group(1, 2, 3)
    members[1].raw.transfer_leader(2)
    members.settle()
    assert members.sent == []


def test_a_crash_of_the_target_costs_an_election_timeout_at_most() -> None:
    members = led()
    members.drop(M.TYPE_TIMEOUT_NOW)
    members[1].raw.transfer_leader(3)
    members.settle()
    members.tick(10)
    members.propose(b"x")
    assert members.leader().id == 1
    assert members[3].commands == [b"x"]
