"""Who is in the group, and who was: node ids, addresses and removed raft ids, beside the core.

The core knows the members' raft ids alone (ConfState). Everything here follows from the committed
log, so that all managers agree on it, also on which changes are refused. Pure.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfChange, ConfState, Member, MemberChange, SnapshotMetadata

METADATA_BYTES = 60_000
"""Most bytes of a snapshot's metadata: the header of its file holds 65,535 (durable.file_header).

What is missing is room for a joint configuration, which names some members twice. Never changed
within one group: managers would refuse different changes.
"""
_ID_BYTES = 10
"""Bytes that one removed id takes, at most."""

_ADDS = (MemberChange.TYPE_ADD_VOTER, MemberChange.TYPE_ADD_LEARNER)


class Membership:
    """The members by raft id, and the ids that are refused for ever.

    The mapping and the set are replaced, never altered: whoever got them may keep them.
    """

    def __init__(self, members: Iterable[Member] = (), removed: Iterable[int] = ()) -> None:
        self._members = _frozen({member.raft_id: member for member in members})
        self._removed = frozenset(removed)

    @classmethod
    def of(cls, metadata: SnapshotMetadata) -> "Membership":
        """What `metadata` has recorded."""
        known = {member.raft_id: member for member in metadata.members}
        ids = _ids(metadata.conf)
        return cls((known.get(each, Member(raft_id=each)) for each in ids), metadata.removed)

    @property
    def members(self) -> Mapping[int, Member]:
        """Who is in the configuration in any role. One that was never described has no address."""
        return self._members

    @property
    def removed(self) -> frozenset[int]:
        """The raft ids that were members once."""
        return self._removed

    def refusal(self, change: ConfChange) -> SwarmError | None:
        """Why a committed change must have no effect; None if it may. The same on all managers."""
        for each in change.changes:
            raft_id = each.member.raft_id
            if not raft_id:
                return SwarmError(
                    Code.REFUSED, "0 is no raft id", remedy="draw a random number that is not 0"
                )
            if each.type in _ADDS and raft_id in self._removed:
                return SwarmError(
                    Code.REFUSED,
                    f"manager {raft_id:x} was removed for ever",
                    why="its raft id was used up with its removal: a log that comes back without "
                    "its votes could elect two leaders",
                    remedy="let it leave the swarm and join anew, under a fresh raft id",
                )
        return self._out_of_room(change)

    def apply(self, change: ConfChange, conf: ConfState) -> None:
        """Takes over a committed change that was not refused; `conf` is what the core made of it.

        Fields that a change leaves empty keep their value. Whoever is in no role of `conf` any
        more is removed for ever: in a joint configuration that is only once it is left.
        """
        members = dict(self._members)
        for each in change.changes:
            told, raft_id = each.member, each.member.raft_id
            if each.type in _ADDS:
                members[raft_id] = _updated(members.get(raft_id), told)
            elif each.type == MemberChange.TYPE_UPDATE and raft_id in members:
                moved = Member(raft_id=raft_id, address=told.address)
                members[raft_id] = _updated(members[raft_id], moved)
        ids = _ids(conf)
        self._removed |= members.keys() - ids
        self._members = _frozen({each: members.get(each, Member(raft_id=each)) for each in ids})

    def metadata(self, index: int, term: int, conf: ConfState) -> SnapshotMetadata:
        """The metadata of a snapshot of the state after entry `index`."""
        return SnapshotMetadata(
            index=index,
            term=term,
            conf=conf,
            members=self._members.values(),
            removed=sorted(self._removed),
        )

    def _out_of_room(self, change: ConfChange) -> SwarmError | None:
        """Refuses what adds to the metadata where there is no more room for it.

        A removal never adds: an id takes less than the member that it was.
        """
        if not any(each.type != MemberChange.TYPE_REMOVE for each in change.changes):
            return None
        size = self.metadata(0, 0, ConfState()).ByteSize() + change.ByteSize()
        if size + _ID_BYTES * len(self._members) <= METADATA_BYTES:
            return None
        return SwarmError(
            Code.REFUSED,
            "the group of managers takes no more members",
            why=f"it keeps the ids of {len(self._removed)} removed ones, and has no room for more",
            remedy="start a new group from this state with swarmctl swarm init --force-new-cluster",
        )


def _ids(conf: ConfState) -> list[int]:
    """All that a configuration names, in any role, in order."""
    return sorted({*conf.voters, *conf.learners, *conf.voters_outgoing, *conf.learners_next})


def _updated(known: Member | None, told: Member) -> Member:
    member = Member(raft_id=told.raft_id)
    if known is not None:
        member.CopyFrom(known)
    member.MergeFrom(told)
    return member


def _frozen(members: dict[int, Member]) -> Mapping[int, Member]:
    return MappingProxyType(dict(sorted(members.items())))
