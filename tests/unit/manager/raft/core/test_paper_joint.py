"""Joint consensus: section 6 of the paper, and Ongaro's thesis, 4.3."""

import pytest

from api.v1.raft_pb2 import ConfChange, Entry, RaftMessage
from manager.raft.core.ready import Role
from tests.support.raft_entries import ADD, LEARN, REMOVE, conf_change
from tests.support.raft_group import group

M = RaftMessage
EXPLICIT = ConfChange.TRANSITION_EXPLICIT
IMPLICIT = ConfChange.TRANSITION_IMPLICIT


def test_several_changes_go_through_a_joint_configuration_and_out_of_it() -> None:
    members = group(1, 2, 3, learners=[4, 5])
    members.elect(1)
    members.forget()
    members.change(conf_change((ADD, 4), (ADD, 5), (REMOVE, 2), (LEARN, 3)))
    for member in (1, 4, 5):
        assert members[member].voters == [1, 4, 5]
        assert members[member].outgoing == []
        assert members[member].raw.status().config.learners == {3}
    changes = [each for each in members[1].applied if each.type == Entry.TYPE_CONF_CHANGE]
    assert [bool(each.data) for each in changes] == [True, False]


def test_an_explicit_joint_configuration_stays_until_it_is_left() -> None:
    members = group(1, 2, 3, learners=[4, 5])
    members.elect(1)
    members.change(conf_change((ADD, 4), (ADD, 5), (REMOVE, 3), transition=EXPLICIT))
    members.tick(20)
    assert (members[4].voters, members[4].outgoing) == ([1, 2, 4, 5], [1, 2, 3])
    members.change(conf_change((REMOVE, 2)))  # not admitted meanwhile
    assert members[4].voters == [1, 2, 4, 5]
    members.change(ConfChange())
    assert (members[4].voters, members[4].outgoing) == ([1, 2, 4, 5], [])


@pytest.mark.parametrize(
    ("stopped", "agree"),
    [((), True), ((2,), True), ((5,), True), ((2, 5), True), ((2, 3), False), ((4, 5), False)],
)
def test_both_majorities_have_to_agree(stopped: tuple[int, ...], agree: bool) -> None:
    members = group(1, 2, 3, learners=[4, 5], check_quorum=False)
    members.elect(1)
    change = ((ADD, 4), (ADD, 5), (REMOVE, 2), (REMOVE, 3))
    members.change(conf_change(*change, transition=EXPLICIT))
    assert (members[1].voters, members[1].outgoing) == ([1, 4, 5], [1, 2, 3])
    members.stop(*stopped)
    members.propose(b"x")
    assert members[1].commands == ([b"x"] if agree else [])


def test_both_majorities_elect() -> None:
    members = group(1, 2, 3, learners=[4, 5], pre_vote=False, check_quorum=False)
    members.elect(1)
    change = ((ADD, 4), (ADD, 5), (REMOVE, 2), (REMOVE, 3))
    members.change(conf_change(*change, transition=EXPLICIT))
    members.stop(2, 3)
    members[4].raw.campaign()
    members.settle()
    assert members[4].role is Role.CANDIDATE  # 1, 4, 5 of the new, only 1 of the old
    members.restart(2)
    members.elect(4)


def test_a_new_leader_ends_the_joint_configuration_of_the_last() -> None:
    members = group(1, 2, 3, learners=[4, 5])
    members.elect(1)
    leaving = Entry(type=Entry.TYPE_CONF_CHANGE, term=2, index=4)
    members.only(lambda each: leaving not in each.entries)
    members.change(conf_change((ADD, 4), (ADD, 5), transition=IMPLICIT))
    assert members[2].outgoing == [1, 2, 3]
    members.stop(1)
    members.heal()
    members.tick(40)
    assert members.leader().id != 1
    assert (members[2].voters, members[2].outgoing) == ([1, 2, 3, 4, 5], [])


def test_a_leader_that_is_to_leave_leads_until_the_joint_configuration_ends() -> None:
    members = group(1, 2, 3, learners=[4])
    members.elect(1)
    members.change(conf_change((ADD, 4), (REMOVE, 1), transition=EXPLICIT))
    assert members[1].raw.is_leader
    members.change(ConfChange())
    assert members[1].role is Role.FOLLOWER
    members.tick(30)
    assert members.leader().id in (2, 3, 4)
