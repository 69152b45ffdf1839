"""Changes of the configuration: a table of outcomes, a table of refusals, and random walks."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.v1.raft_pb2 import ConfState, Member, MemberChange
from manager.raft.core.confchange import Changer, Outcome, restore
from manager.raft.core.config import NO_LIMIT
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.inflights import Inflights
from manager.raft.core.progress import Progress
from manager.raft.core.tracker import TrackerConfig
from tests.support.raft_entries import ADD, LEARN, REMOVE, UPDATE, change

Change = tuple[MemberChange.Type.ValueType, int]


class Conf(NamedTuple):
    """A configuration in few characters."""

    voters: tuple[int, ...]
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    def state(self) -> ConfState:
        return ConfState(
            voters=self.voters,
            voters_outgoing=self.outgoing,
            learners=self.learners,
            learners_next=self.learners_next,
            auto_leave=self.auto_leave,
        )


def new_inflights() -> Inflights:
    return Inflights(4, NO_LIMIT)


def changer(conf: Conf, last_index: int = 7) -> Changer:
    return Changer(*restore(conf.state(), 1, new_inflights), last_index, new_inflights)


def made(changes: Sequence[Change]) -> list[MemberChange]:
    return [change(*each) for each in changes]


def check(outcome: Outcome) -> TrackerConfig:
    """Asserts the invariants that the module names, in words of their own."""
    config, progress = outcome
    incoming, outgoing = config.voters.incoming.ids, config.voters.outgoing.ids
    assert incoming
    assert set(progress) == incoming | outgoing | config.learners
    assert 0 not in progress
    for member, each in progress.items():
        assert each.is_learner is (member in config.learners)
        assert (member in config.learners) is (member not in incoming | outgoing)
    for member in config.learners_next:
        assert member in outgoing
        assert member not in incoming
    if not outgoing:
        assert not config.learners_next
        assert not config.auto_leave
    return config


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        (Conf((1,)), [], Conf((1,))),
        (Conf((1,)), [(ADD, 2)], Conf((1, 2))),
        (Conf((1, 2)), [(ADD, 2)], Conf((1, 2))),
        (Conf((1,)), [(LEARN, 2)], Conf((1,), learners=(2,))),
        (Conf((1,), learners=(2,)), [(LEARN, 2)], Conf((1,), learners=(2,))),
        (Conf((1,), learners=(2,)), [(ADD, 2)], Conf((1, 2))),
        (Conf((1, 2)), [(LEARN, 2)], Conf((1,), learners=(2,))),
        (Conf((1, 2)), [(REMOVE, 2)], Conf((1,))),
        (Conf((1,), learners=(2,)), [(REMOVE, 2)], Conf((1,))),
        (Conf((1,)), [(REMOVE, 2)], Conf((1,))),
        (Conf((1, 2)), [(UPDATE, 2)], Conf((1, 2))),
        (Conf((1, 2)), [(UPDATE, 7)], Conf((1, 2))),
        (Conf((1,)), [(LEARN, 2), (LEARN, 3)], Conf((1,), learners=(2, 3))),
        (Conf((1,)), [(ADD, 2), (LEARN, 3), (UPDATE, 1)], Conf((1, 2), learners=(3,))),
        (Conf((1,)), [(ADD, 2), (ADD, 3), (REMOVE, 3)], Conf((1, 2))),
        (Conf((1,)), [(ADD, 2), (LEARN, 2)], Conf((1,), learners=(2,))),
    ],
)
def test_simple(before: Conf, changes: list[Change], after: Conf) -> None:
    assert check(changer(before).simple(made(changes))).conf_state() == after.state()


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        (Conf((1,)), [], Conf((1,), (1,))),
        (Conf((1,)), [(ADD, 2), (ADD, 3)], Conf((1, 2, 3), (1,))),
        (Conf((1, 2)), [(ADD, 3), (REMOVE, 2)], Conf((1, 3), (1, 2))),
        (Conf((1, 2)), [(LEARN, 2)], Conf((1,), (1, 2), (), (2,))),
        (Conf((1, 2)), [(LEARN, 2), (ADD, 2)], Conf((1, 2), (1, 2))),
        (Conf((1, 2)), [(LEARN, 2), (REMOVE, 2)], Conf((1,), (1, 2))),
        (Conf((1, 2)), [(REMOVE, 2), (LEARN, 2)], Conf((1,), (1, 2), (), (2,))),
        (Conf((1,), learners=(2,)), [(ADD, 2)], Conf((1, 2), (1,))),
        (Conf((1,), learners=(2,)), [(REMOVE, 2)], Conf((1,), (1,))),
        (Conf((1,)), [(LEARN, 2)], Conf((1,), (1,), (2,))),
        (Conf((1,)), [(REMOVE, 1), (ADD, 2)], Conf((2,), (1,))),
        (Conf((1, 2)), [(UPDATE, 2)], Conf((1, 2), (1, 2))),
    ],
)
@pytest.mark.parametrize("auto_leave", [False, True])
def test_enter_joint(before: Conf, changes: list[Change], after: Conf, auto_leave: bool) -> None:
    outcome = changer(before).enter_joint(auto_leave, made(changes))
    assert check(outcome).conf_state() == after._replace(auto_leave=auto_leave).state()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Conf((1,), (1,)), Conf((1,))),
        (Conf((2,), (1,)), Conf((2,))),
        (Conf((1, 3), (1, 2), auto_leave=True), Conf((1, 3))),
        (Conf((1,), (1, 2), (), (2,)), Conf((1,), learners=(2,))),
        (Conf((1,), (1, 2), (3,), (2,)), Conf((1,), learners=(2, 3))),
    ],
)
def test_leave_joint(before: Conf, after: Conf) -> None:
    assert check(changer(before).leave_joint()).conf_state() == after.state()


PLAIN = Conf((1, 2, 3), learners=(9,))
JOINT = Conf((1, 2), (2, 3))


@pytest.mark.parametrize(
    ("before", "changes", "why"),
    [
        (JOINT, [(ADD, 4)], "a simple change within a joint configuration"),
        (PLAIN, [(ADD, 4), (ADD, 5)], r"of several voters: \[4, 5\]"),
        (PLAIN, [(ADD, 4), (REMOVE, 3)], r"of several voters: \[3, 4\]"),
        (PLAIN, [(REMOVE, 2), (LEARN, 3)], r"of several voters: \[2, 3\]"),
        (Conf((1,)), [(REMOVE, 1)], "no voter is left"),
        (Conf((1,)), [(LEARN, 1)], "no voter is left"),
        (PLAIN, [(ADD, 0)], "0 is no member's id"),
        (PLAIN, [(REMOVE, 0)], "0 is no member's id"),
        (PLAIN, [(UPDATE, 0)], "0 is no member's id"),
    ],
)
def test_simple_refuses(before: Conf, changes: list[Change], why: str) -> None:
    with pytest.raises(ConfChangeError, match=why):
        changer(before).simple(made(changes))


@pytest.mark.parametrize(
    ("before", "changes", "why"),
    [
        (JOINT, [(ADD, 4)], "the configuration is joint already"),
        (Conf(()), [(ADD, 4)], "without voters cannot become joint"),
        (Conf((1, 2)), [(REMOVE, 1), (REMOVE, 2)], "no voter is left"),
        (PLAIN, [(ADD, 4), (LEARN, 0)], "0 is no member's id"),
    ],
)
def test_enter_joint_refuses(before: Conf, changes: list[Change], why: str) -> None:
    with pytest.raises(ConfChangeError, match=why):
        changer(before).enter_joint(False, made(changes))


def test_leave_joint_refuses() -> None:
    with pytest.raises(ConfChangeError, match="the configuration is not joint"):
        changer(PLAIN).leave_joint()


def test_a_type_of_the_future_is_refused() -> None:
    future = MemberChange()
    future.ParseFromString(b"\x08\x2a" + MemberChange(member=Member(raft_id=4)).SerializeToString())
    with pytest.raises(ConfChangeError, match="unknown type 42"):
        changer(PLAIN).simple([future])


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (Conf((), learners=(1,)), "no voter is left"),
        (Conf((0, 1)), "0 is no member's id"),
        (Conf((1,), learners=(0,)), "0 is no member's id"),
        (Conf((1,), learners=(1,)), "a learner is a voter too"),
        (Conf((1,), (2,), learners=(2,)), "a learner is a voter too"),
        (Conf((1,), learners_next=(2,)), "a learner to be is no voter that leaves"),
        (Conf((1, 2), (2,), learners_next=(2,)), "a learner to be is a voter that stays"),
        (Conf((1,), auto_leave=True), "auto_leave without a joint configuration"),
    ],
)
def test_restore_refuses(conf: Conf, why: str) -> None:
    with pytest.raises(ConfChangeError, match=why):
        restore(conf.state(), 1, new_inflights)


def test_a_joiner_restores_nothing() -> None:
    assert restore(ConfState(), 5, new_inflights) == (TrackerConfig(), {})


@pytest.mark.parametrize(("last_index", "following"), [(0, 1), (1, 1), (7, 7)])
def test_a_new_member_is_probed_at_the_end_and_counts_as_active(
    last_index: int, following: int
) -> None:
    _, progress = changer(Conf((1,)), last_index).simple([change(LEARN, 2)])
    new = progress[2]
    assert (new.match, new.next, new.recent_active, new.is_learner) == (0, following, True, True)
    assert progress[1].inflights is not new.inflights


def test_a_member_keeps_its_progress_and_the_input_is_not_mutated() -> None:
    config, progress = restore(Conf((1, 2), learners=(3,)).state(), 1, new_inflights)
    for each in progress.values():
        each.match = 5
    given_progress = dict(progress)
    _, after = Changer(config, progress, 9, new_inflights).enter_joint(
        False, [change(ADD, 3), change(LEARN, 2), change(ADD, 4)]
    )
    assert {member: each.match for member, each in after.items()} == {1: 5, 2: 5, 3: 5, 4: 0}
    assert after[1] is progress[1]
    assert not after[3].is_learner
    assert progress == given_progress
    assert progress[3].is_learner


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["simple", "implicit", "explicit", "leave"]),
        st.lists(
            st.tuples(st.sampled_from([ADD, LEARN, REMOVE, UPDATE]), st.integers(0, 5)), max_size=4
        ),
    ),
    max_size=25,
)


def step(at: Changer, kind: str, changes: list[Change]) -> Outcome:
    if kind == "simple":
        return at.simple(made(changes))
    if kind == "leave":
        return at.leave_joint()
    return at.enter_joint(kind == "implicit", made(changes))


def quorums_meet(before: TrackerConfig, after: TrackerConfig) -> bool:
    """Whether every quorum of the one shares a member with every quorum of the other.

    A set of members is a quorum if the others, voting no, do not win; two configurations can decide
    apart exactly if a set wins in one while the rest wins in the other.
    """
    members = sorted(before.voters.ids() | after.voters.ids())
    for chosen in range(1 << len(members)):
        votes = {each: bool(chosen >> at & 1) for at, each in enumerate(members)}
        rest = {each: not vote for each, vote in votes.items()}
        if before.voters.vote_result(votes).name == after.voters.vote_result(rest).name == "WON":
            return False
    return True


@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_a_random_walk_keeps_the_invariants(steps: list[tuple[str, list[Change]]]) -> None:
    config, progress = restore(Conf((1,)).state(), 1, new_inflights)
    for kind, changes in steps:
        before = config
        try:
            outcome = step(Changer(config, progress, 7, new_inflights), kind, changes)
        except ConfChangeError:
            check((config, progress))
            continue
        config, progress = check(outcome), outcome[1]
        assert quorums_meet(before, config)
        again, fresh = restore(config.conf_state(), 7, new_inflights)
        assert again == config
        assert flags(fresh) == flags(progress)


def flags(progress: dict[int, Progress]) -> dict[int, bool]:
    return {member: each.is_learner for member, each in progress.items()}
