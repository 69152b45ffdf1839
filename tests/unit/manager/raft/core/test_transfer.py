"""Handing leadership over."""

import pytest

from api.v1.raft_pb2 import ConfState, RaftMessage
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.ready import Role
from tests.support.raft_entries import ADD, LEARN, REMOVE, conf_change
from tests.support.raft_group import Group, group
from tests.support.raft_lone import Lone, kinds

HEARTBEAT, TIMEOUT_NOW = RaftMessage.TYPE_HEARTBEAT, RaftMessage.TYPE_TIMEOUT_NOW
TRANSFER_LEADER = RaftMessage.TYPE_TRANSFER_LEADER


def trio() -> Group:
    made = group(1, 2, 3, learners=[4])
    made.elect(1)
    made.tick(2)
    made.forget()
    return made


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_any_member_can_ask_for_any_to_lead(asked: int) -> None:
    made = trio()
    made[asked].raw.transfer_leader(3)
    made.settle()
    assert made.leader().id == 3
    assert [each.raw.leader for each in made.hosts.values()] == [3] * 4
    assert made.said(RaftMessage.TYPE_PRE_VOTE) == []
    votes = made.said(RaftMessage.TYPE_VOTE)
    assert {each.context for each in votes} == {b"transfer"}


def test_a_target_that_lags_is_brought_up_to_date_first() -> None:
    made = trio()
    made.isolate(3)
    made.propose(b"x")
    made[1].raw.transfer_leader(3)
    made.settle()
    assert made.said(TIMEOUT_NOW) == []
    made.heal()
    made.tick(2, 1)
    assert made.leader().id == 3
    assert made[3].commands == [b"x"]


def test_a_target_without_a_stream_is_sent_to_at_once() -> None:
    lone = Lone()
    lone.lead(heard=[2])
    lone.raw.report_unreachable(2)
    lone.raw.propose(b"x")
    lone.work()
    lone.hear(RaftMessage.TYPE_HEARTBEAT_RESPONSE, 2)
    lone.raw.transfer_leader(2)
    assert lone.work() == []
    assert ("TIMEOUT_NOW", 2) in kinds(lone.accept(2))


def test_proposals_are_dropped_meanwhile_until_the_transfer_is_given_up() -> None:
    made = trio()
    made.stop(3)
    leader = made[1].raw
    leader.transfer_leader(3)
    made.settle()
    assert leader.status().transfer_target == 3
    with pytest.raises(ProposalDroppedError) as dropped:
        leader.propose(b"x")
    assert dropped.value.reason is DropReason.TRANSFERRING
    made.tick(9)
    assert leader.status().transfer_target == 3
    made.tick(1)
    assert (leader.status().transfer_target, leader.is_leader) == (0, True)
    made.propose(b"x")
    assert made[2].commands == [b"x"]


def test_asking_again_gives_no_more_time() -> None:
    made = trio()
    made.stop(3)
    leader = made[1].raw
    leader.transfer_leader(3)
    made.tick(9)
    leader.transfer_leader(3)
    made.tick(1)
    assert leader.status().transfer_target == 0


def test_another_target_replaces_the_first() -> None:
    made = trio()
    made.stop(3)
    made[1].raw.transfer_leader(3)
    made.settle()
    made[1].raw.transfer_leader(2)
    made.settle()
    assert made.leader().id == 2


def test_asking_for_the_leader_itself_ends_a_transfer() -> None:
    made = trio()
    made.stop(3)
    made[1].raw.transfer_leader(3)
    made.settle()
    made[1].raw.transfer_leader(1)
    made.settle()
    assert made[1].raw.status().transfer_target == 0
    assert made.leader().id == 1


@pytest.mark.parametrize("target", [4, 9])
def test_learners_and_strangers_cannot_lead(target: int) -> None:
    made = trio()
    made[1].raw.transfer_leader(target)
    assert made[1].raw.status().transfer_target == 0
    assert not made[1].raw.has_ready()


@pytest.mark.parametrize(
    ("change", "expected"),
    [((REMOVE, 3), 0), ((LEARN, 3), 0), ((ADD, 5), 3)],
)
def test_a_target_that_stops_being_a_voter_is_given_up(
    change: tuple[int, int], expected: int
) -> None:
    made = trio()
    made.stop(3)
    made[1].raw.propose_conf_change(conf_change(change))  # type: ignore[arg-type]
    made[1].raw.transfer_leader(3)
    made.settle()
    assert made[1].raw.status().transfer_target == expected


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE])
def test_without_a_leader_nobody_is_asked(role: Role) -> None:
    lone = Lone(pre_vote=False)
    if role is Role.CANDIDATE:
        lone.raw.campaign()
        lone.work()
    lone.raw.transfer_leader(2)
    assert not lone.raw.has_ready()
    assert lone.hear(TRANSFER_LEADER, 2) == []
    assert lone.hear(TIMEOUT_NOW, 2) == [] or role is Role.FOLLOWER


def test_a_follower_passes_the_wish_on_in_the_targets_name() -> None:
    lone = Lone(conf=ConfState(voters=[1, 2, 3, 4]))
    lone.hear(HEARTBEAT, 2)
    (said,) = lone.hear(TRANSFER_LEADER, 3)
    assert (said.type, said.to, getattr(said, "from"), said.term) == (TRANSFER_LEADER, 2, 3, 1)


def test_only_the_target_counts() -> None:
    lone = Lone()
    lone.lead(heard=[3])
    lone.raw.transfer_leader(2)
    lone.work()
    lone.raw.report_unreachable(3)
    assert "TIMEOUT_NOW" not in [kind for kind, _ in kinds(lone.accept(3))]


def test_a_lost_leadership_is_handed_over_no_more() -> None:
    lone = Lone()
    lone.lead(heard=[3])
    lone.raw.transfer_leader(2)
    lone.hear(HEARTBEAT, 3, term=9)
    assert lone.raw.status().transfer_target == 0
    lone.lead(heard=[3])
    assert lone.raw.propose(b"x") is not None
