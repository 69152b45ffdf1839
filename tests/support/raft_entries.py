"""Entries, snapshots and member changes from plain numbers, and back."""

from collections.abc import Iterable

from api.v1.raft_pb2 import (
    ConfChange,
    ConfState,
    Entry,
    Member,
    MemberChange,
    Snapshot,
    SnapshotMetadata,
)
from manager.raft.core.storage import MemoryStorage

Row = tuple[int, int]  # index, term

ADD = MemberChange.TYPE_ADD_VOTER
LEARN = MemberChange.TYPE_ADD_LEARNER
REMOVE = MemberChange.TYPE_REMOVE
UPDATE = MemberChange.TYPE_UPDATE


def entries(first: int, *terms: int, data: bytes = b"") -> list[Entry]:
    """One entry per term, from index `first` on."""
    return [Entry(index=at, term=term, data=data) for at, term in enumerate(terms, start=first)]


def rows(found: Iterable[Entry]) -> list[Row]:
    return [(entry.index, entry.term) for entry in found]


def snapshot(index: int, term: int, *voters: int, learners: Iterable[int] = ()) -> Snapshot:
    conf = ConfState(voters=voters, learners=learners)
    return Snapshot(metadata=SnapshotMetadata(index=index, term=term, conf=conf))


def storage(*terms: int, after: Row = (0, 0), voters: Iterable[int] = ()) -> MemoryStorage:
    """A storage with these entries behind a snapshot at `after`, if that is not (0, 0)."""
    made = MemoryStorage()
    if after != (0, 0):
        made.apply_snapshot(snapshot(*after, *voters))
    made.append(entries(after[0] + 1, *terms))
    return made


def change(kind: MemberChange.Type.ValueType, raft_id: int) -> MemberChange:
    return MemberChange(type=kind, member=Member(raft_id=raft_id))


def conf_change(
    *changes: tuple[MemberChange.Type.ValueType, int],
    transition: ConfChange.Transition.ValueType = ConfChange.TRANSITION_AUTO,
) -> ConfChange:
    return ConfChange(transition=transition, changes=[change(*each) for each in changes])
