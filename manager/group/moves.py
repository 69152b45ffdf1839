"""What a leader does about who sits in the group of managers: one move at a time. Pure.

A joiner is a learner first, and gets its vote once it holds what the others hold (Ongaro, section
4.2.1). A manager whose node is to be a worker, or is gone, loses its seat; never so that too few
are left to agree (SwarmKit, manager/controlapi/node.go and manager/role_manager.go).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from api.errors import Code, SwarmError
from api.v1 import objects_pb2

CAUGHT_UP = 100
"""Entries by which a learner may lag when it gets its vote: a moment's work."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A member of the group as the leader sees it. `match`: the last entry it is known to hold."""

    raft_id: int
    node_id: str
    address: str
    voter: bool
    active: bool
    match: int = 0


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the learner its vote."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the member out of the group."""

    seat: Seat


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let another lead: this one is to go."""

    seat: Seat


Move: TypeAlias = Promote | Remove | HandOver


def next_move(
    seats: Sequence[Seat], wanted: Iterable[str], *, leader: int, commit: int
) -> Move | None:
    """What to do next, or None. `wanted`: ids of the nodes that shall be managers."""
    managers = frozenset(wanted)
    for seat in seats:
        if seat.node_id in managers or keeps_quorum(seats, seat.raft_id) is not None:
            continue
        return HandOver(seat) if seat.raft_id == leader else Remove(seat)
    for seat in seats:
        caught_up = 0 < seat.match >= commit - CAUGHT_UP
        if seat.node_id in managers and not seat.voter and seat.active and caught_up:
            return Promote(seat)
    return None


def keeps_quorum(seats: Sequence[Seat], without: int) -> SwarmError | None:
    """Why the group cannot do without this member, or None if it can."""
    going = next((seat for seat in seats if seat.raft_id == without), None)
    if going is None or not going.voter:
        return None
    left = [seat for seat in seats if seat.voter and seat.raft_id != without]
    if not left:
        return SwarmError(
            Code.REFUSED,
            f"node {going.node_id} is the last manager",
            why="the swarm's whole state is lost without it",
            remedy="make another node a manager first: swarmctl node promote NODE",
        )
    active = sum(seat.active for seat in left)
    majority = len(left) // 2 + 1
    if active >= majority:
        return None
    return SwarmError(
        Code.REFUSED,
        f"the swarm cannot do without manager {going.node_id} now",
        why=f"of the {len(left)} managers that stay, {active} can be reached, and {majority} "
        "have to agree on every change",
        remedy="bring the other managers back first, or demote those that are lost for good",
    )


def statuses(
    nodes: Iterable[objects_pb2.Node], seats: Iterable[Seat], *, leader: int
) -> Mapping[str, objects_pb2.ManagerStatus | None]:
    """The nodes whose ManagerStatus has to change, and to what; None: they are managers no more."""
    by_node = {seat.node_id: seat for seat in seats}
    changes: dict[str, objects_pb2.ManagerStatus | None] = {}
    for node in nodes:
        seat = by_node.get(node.id)
        if seat is not None:
            status = objects_pb2.ManagerStatus(
                address=seat.address,
                leader=seat.raft_id == leader,
                reachable=seat.active,
                raft_id=seat.raft_id,
            )
            if node.manager != status or not node.HasField("manager"):
                changes[node.id] = status
        elif node.HasField("manager"):
            changes[node.id] = None
    return changes
