"""Changes of who sits in the group of managers, one at a time: the shell around moves.py."""

import asyncio
from collections.abc import Sequence

from api.errors import Code, SwarmError
from api.v1 import raft_pb2
from manager.group.moves import Seat, keeps_quorum
from manager.raft.node.node import RaftNode

_ATTEMPTS = 20
_PAUSE = 0.1
"""Seconds between tries, while another change is under way or the term has only begun."""

Change = raft_pb2.MemberChange


class Group:
    """The group as its leader sees and changes it. One instance per manager."""

    def __init__(self, node: RaftNode) -> None:
        self._node = node
        self._changing = asyncio.Lock()

    @property
    def group_id(self) -> int:
        """Which group this is."""
        return self._node.group_id

    @property
    def leader_id(self) -> int:
        """The raft id of the leader, 0 if none is known."""
        return self._node.leader_id

    @property
    def own_id(self) -> int:
        """The raft id of this manager."""
        return self._node.raft_id

    def members(self) -> list[raft_pb2.Member]:
        """Who is in the group."""
        return list(self._node.members.values())

    def seats(self) -> list[Seat]:
        """The members, as far as this manager knows them; the leader knows them all."""
        status = self._node.status()
        voters = status.config.voters.ids()
        return [
            Seat(
                raft_id=member.raft_id,
                node_id=member.node_id,
                address=member.address,
                voter=member.raft_id in voters,
                active=self._node.is_active(member.raft_id),
                match=status.progress[member.raft_id].match
                if member.raft_id in status.progress
                else 0,
            )
            for member in sorted(self._node.members.values(), key=lambda each: each.raft_id)
        ]

    def needed(self, node_id: str) -> SwarmError | None:
        """Why the managers cannot do without this node now, or None."""
        seats = self.seats()
        seat = seat_of(seats, node_id)
        return None if seat is None else keeps_quorum(seats, seat.raft_id)

    def commit(self) -> int:
        """The index up to which all is committed."""
        return self._node.status().hard_state.commit

    async def take_seat(self, member: raft_pb2.Member) -> None:
        """Makes the node a learner, or gives its seat a new address. May be repeated.

        A seat that the node had under another raft id is taken away before: its log is lost.
        REFUSED if that, or an id that was used before, stands against it.
        """
        async with self._changing:
            for seat in self.seats():
                if seat.node_id != member.node_id:
                    continue
                if seat.raft_id == member.raft_id:
                    if seat.address != member.address:
                        await self._change(Change.TYPE_UPDATE, member)
                    return
                await self._remove(seat)
            await self._change(Change.TYPE_ADD_LEARNER, member)

    async def promote(self, seat: Seat) -> None:
        """Gives a learner its vote."""
        async with self._changing:
            await self._change(Change.TYPE_ADD_VOTER, raft_pb2.Member(raft_id=seat.raft_id))

    async def remove(self, seat: Seat, *, force: bool = False) -> None:
        """Takes a member out; REFUSED if too few would be left to agree, unless `force`."""
        async with self._changing:
            await self._remove(seat, force=force)

    async def hand_over(self) -> bool:
        """Lets another member lead; whether one does."""
        return await self._node.hand_over()

    async def _remove(self, seat: Seat, *, force: bool = False) -> None:
        refusal = keeps_quorum(self.seats(), seat.raft_id)
        if refusal is not None and not force:
            raise refusal
        await self._change(Change.TYPE_REMOVE, raft_pb2.Member(raft_id=seat.raft_id))

    async def _change(self, kind: Change.Type.ValueType, member: raft_pb2.Member) -> None:
        change = raft_pb2.ConfChange(changes=[Change(type=kind, member=member)])
        for attempt in range(_ATTEMPTS):
            try:
                await self._node.change_members(change)
            except SwarmError as error:
                if error.code is not Code.CONFLICT or attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return


def seat_of(seats: Sequence[Seat], node_id: str) -> Seat | None:
    """The seat of a node, if it has one."""
    return next((seat for seat in seats if seat.node_id == node_id), None)
