"""Who is in the group, and who never may be again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code
from api.v1.raft_pb2 import (
    ConfChange,
    ConfState,
    Member,
    MemberChange,
    Snapshot,
    SnapshotMetadata,
)
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.node.membership import METADATA_BYTES, Membership
from tests.support.sim_disk import SimDisk

ADD_VOTER = MemberChange.TYPE_ADD_VOTER
ADD_LEARNER = MemberChange.TYPE_ADD_LEARNER
REMOVE = MemberChange.TYPE_REMOVE
UPDATE = MemberChange.TYPE_UPDATE

A = Member(raft_id=1, node_id="a", address="a:1")
B = Member(raft_id=2, node_id="b", address="b:1")


def change(*changes: tuple[MemberChange.Type.ValueType, Member]) -> ConfChange:
    return ConfChange(changes=[MemberChange(type=kind, member=who) for kind, who in changes])


@pytest.mark.parametrize(
    ("changes", "conf", "members", "removed"),
    [
        ([(ADD_LEARNER, B)], ConfState(voters=[1], learners=[2]), [A, B], []),
        ([(ADD_VOTER, B)], ConfState(voters=[1, 2]), [A, B], []),
        ([(REMOVE, Member(raft_id=1))], ConfState(), [], [1]),
        (
            [(UPDATE, Member(raft_id=1, address="x:1", node_id="z"))],
            ConfState(voters=[1]),
            [Member(raft_id=1, node_id="a", address="x:1")],
            [],
        ),
        ([(UPDATE, B)], ConfState(voters=[1]), [A], []),
        ([(ADD_VOTER, Member(raft_id=1))], ConfState(voters=[1]), [A], []),
        (
            [(ADD_VOTER, B), (REMOVE, Member(raft_id=1))],
            ConfState(voters=[2], voters_outgoing=[1]),
            [A, B],
            [],
        ),
        ([], ConfState(learners=[1]), [A], []),
        ([], ConfState(voters=[1, 7]), [A, Member(raft_id=7)], []),
    ],
)
def test_a_change_is_taken_over(
    changes: list[tuple[MemberChange.Type.ValueType, Member]],
    conf: ConfState,
    members: list[Member],
    removed: list[int],
) -> None:
    membership = Membership([A])
    membership.apply(change(*changes), conf)
    assert list(membership.members.values()) == members
    assert sorted(membership.removed) == removed


def test_who_is_replaced_jointly_is_gone_once_the_joint_configuration_is_left() -> None:
    membership = Membership([A, B])
    joint = ConfState(voters=[1], voters_outgoing=[1, 2])
    membership.apply(change((REMOVE, Member(raft_id=2))), joint)
    assert (sorted(membership.members), sorted(membership.removed)) == ([1, 2], [])
    membership.apply(ConfChange(), ConfState(voters=[1]))
    assert (sorted(membership.members), sorted(membership.removed)) == ([1], [2])


@pytest.mark.parametrize(
    ("what", "refused"),
    [
        (change((ADD_VOTER, B)), "removed for ever"),
        (change((ADD_LEARNER, B)), "removed for ever"),
        (change((REMOVE, Member(raft_id=1)), (ADD_VOTER, B)), "removed for ever"),
        (change((REMOVE, B)), ""),
        (change((UPDATE, B)), ""),
        (change((ADD_VOTER, Member(raft_id=3))), ""),
        (change((ADD_VOTER, Member(node_id="c"))), "no raft id"),
        (change((REMOVE, Member())), "no raft id"),
        (ConfChange(), ""),
    ],
)
def test_who_may_not_come_is_refused(what: ConfChange, refused: str) -> None:
    refusal = Membership([A], removed=[2]).refusal(what)
    assert (refusal is not None) == bool(refused)
    if refusal is not None:
        assert (refusal.code, refused in refusal.what) == (Code.REFUSED, True)


def test_what_was_handed_out_does_not_change_any_more() -> None:
    membership = Membership([A])
    members, removed = membership.members, membership.removed
    membership.apply(change((ADD_VOTER, B)), ConfState(voters=[2]))
    assert (dict(members), removed) == ({1: A}, frozenset())
    assert Member(raft_id=1, node_id="a", address="a:1") == A


def test_metadata_says_it_all() -> None:
    conf = ConfState(voters=[1], learners=[2])
    metadata = Membership([B, A], removed=[9, 4]).metadata(7, 3, conf)
    assert metadata == SnapshotMetadata(index=7, term=3, conf=conf, members=[A, B], removed=[4, 9])
    again = Membership.of(metadata)
    assert (dict(again.members), sorted(again.removed)) == ({1: A, 2: B}, [4, 9])


def test_whoever_a_configuration_names_is_a_member() -> None:
    conf = ConfState(voters=[1], voters_outgoing=[3], learners=[4], learners_next=[3])
    membership = Membership.of(SnapshotMetadata(index=1, conf=conf, members=[A, B]))
    assert list(membership.members.values()) == [A, Member(raft_id=3), Member(raft_id=4)]


def test_a_group_takes_members_until_its_snapshots_can_hold_no_more() -> None:
    top = (1 << 64) - 1
    membership = Membership([A], range(top - 5900, top))
    for raft_id in range(top - 9000, top - 6000):
        who = Member(raft_id=raft_id, node_id="n" * 25, address="h" * 60 + ":2377")
        refusal = membership.refusal(change((ADD_VOTER, who)))
        if refusal is not None:
            break
        membership.apply(change((ADD_VOTER, who)), ConfState(voters=[1, raft_id]))
        remove = change((REMOVE, Member(raft_id=raft_id)))
        assert membership.refusal(remove) is None
        membership.apply(remove, ConfState(voters=[1]))
    assert refusal is not None
    assert (refusal.code, "no more members" in refusal.what) == (Code.REFUSED, True)
    metadata = membership.metadata(top, top, ConfState(voters=[1]))
    assert abs(metadata.ByteSize() - METADATA_BYTES) < 300
    SnapshotStore(SimDisk(), cluster_id="c", node_id="n", keys=None).save(
        Snapshot(metadata=metadata)
    )


_STEPS = st.lists(
    st.tuples(st.sampled_from([ADD_VOTER, ADD_LEARNER, REMOVE]), st.integers(1, 6)), max_size=30
)


@given(_STEPS)
def test_members_are_those_of_the_configuration_and_nobody_returns(
    steps: list[tuple[MemberChange.Type.ValueType, int]],
) -> None:
    """Against a plain set: in, out for ever."""
    membership, inside, gone = Membership([A]), {1}, set[int]()
    for kind, raft_id in steps:
        what = change((kind, Member(raft_id=raft_id)))
        refused = kind != REMOVE and raft_id in gone
        assert (membership.refusal(what) is not None) == refused
        if refused:
            continue
        if kind == REMOVE:
            gone |= inside & {raft_id}
            inside -= {raft_id}
        else:
            inside |= {raft_id}
        membership.apply(what, ConfState(voters=sorted(inside)))
        assert (set(membership.members), set(membership.removed)) == (inside, gone)
