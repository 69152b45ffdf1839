"""Configuration, commits, votes and activity of a group."""

import pytest

from api.v1.raft_pb2 import ConfState
from manager.raft.core.confchange import restore
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.quorum import MAX_INDEX, VoteResult
from manager.raft.core.tracker import Tracker, TrackerConfig


def tracker(conf: ConfState, **matches: int) -> Tracker:
    """A tracker of the configuration, with `m1=5` for a match of member 1, and so on."""
    made = Tracker(4, NO_LIMIT)
    made.config, made.progress = restore(conf, 10, made.new_inflights)
    for name, match in matches.items():
        made.progress[int(name[1:])].match = match
    return made


THREE = ConfState(voters=[3, 1, 2], learners=[9])
JOINT = ConfState(voters=[1, 2, 3], voters_outgoing=[3, 4, 5], learners_next=[4], learners=[9])


def test_a_new_tracker_is_empty() -> None:
    made = Tracker(4, NO_LIMIT)
    assert made.config == TrackerConfig()
    assert (made.committed(), list(made.visit())) == (MAX_INDEX, [])
    assert made.config.conf_state() == ConfState()


@pytest.mark.parametrize(
    "conf",
    [
        THREE,
        JOINT,
        ConfState(voters=[1]),
        ConfState(voters=[1], voters_outgoing=[2], auto_leave=True),
    ],
)
def test_the_conf_state_is_in_order(conf: ConfState) -> None:
    made = tracker(conf).config.conf_state()
    assert made.voters == sorted(conf.voters)
    assert made.voters_outgoing == sorted(conf.voters_outgoing)
    assert (made.learners, made.learners_next) == (conf.learners, conf.learners_next)
    assert made.auto_leave is conf.auto_leave


@pytest.mark.parametrize(
    ("conf", "joint"),
    [
        (ConfState(voters=[1], learners=[2]), False),
        (ConfState(voters=[1], voters_outgoing=[1, 2]), True),
        (ConfState(voters=[1, 2]), False),
    ],
)
def test_it_is_joint_while_there_is_an_outgoing_configuration(conf: ConfState, joint: bool) -> None:
    assert tracker(conf).config.is_joint == joint


@pytest.mark.parametrize(
    ("conf", "matches", "committed"),
    [
        (THREE, {"m1": 5, "m2": 3, "m3": 1}, 3),
        (THREE, {"m1": 5, "m9": 5}, 0),  # a learner does not count
        (JOINT, {"m1": 5, "m2": 5, "m3": 5}, 0),
        (JOINT, {"m1": 5, "m2": 5, "m3": 5, "m4": 4}, 4),
    ],
)
def test_committed(conf: ConfState, matches: dict[str, int], committed: int) -> None:
    assert tracker(conf, **matches).committed() == committed


def test_members_come_in_order() -> None:
    made = tracker(JOINT)
    assert [each for each, _ in made.visit()] == [1, 2, 3, 4, 5, 9]
    assert made.voter_ids() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("conf", "active", "quorum"),
    [
        (THREE, [1, 2], True),
        (THREE, [1], False),
        (THREE, [1, 9], False),
        (JOINT, [1, 2], False),
        (JOINT, [1, 2, 4], False),
        (JOINT, [1, 3, 4], True),
    ],
)
def test_a_quorum_is_active_without_learners(
    conf: ConfState, active: list[int], quorum: bool
) -> None:
    made = tracker(conf)
    for each, progress in made.visit():
        progress.recent_active = each in active
    assert made.quorum_active() is quorum


def test_the_first_vote_of_a_member_counts() -> None:
    made = tracker(THREE)
    made.record_vote(2, False)
    made.record_vote(2, True)
    made.record_vote(1, True)
    made.record_vote(1, True)
    assert made.tally_votes() == (1, 1, VoteResult.PENDING)


def test_votes_of_learners_and_strangers_do_not_count() -> None:
    made = tracker(THREE)
    made.record_vote(9, True)
    made.record_vote(77, True)
    made.record_vote(1, True)
    assert made.tally_votes() == (1, 0, VoteResult.PENDING)
    made.record_vote(3, True)
    assert made.tally_votes() == (2, 0, VoteResult.WON)


def test_a_new_election_begins_without_votes() -> None:
    made = tracker(THREE)
    for each in (1, 2, 3):
        made.record_vote(each, False)
    assert made.tally_votes() == (0, 3, VoteResult.LOST)
    made.reset_votes()
    assert made.tally_votes() == (0, 0, VoteResult.PENDING)


def test_windows_are_of_the_groups_size() -> None:
    window = Tracker(1, NO_LIMIT).new_inflights()
    window.add(1, 1)
    assert window.full()
