"""The ManagerGroup service of api/v1/raft.proto: managers come and go. The leader serves it."""

from api.address import split_address
from api.errors import Code, SwarmError, invalid
from api.serving import Context, caller
from api.v1 import objects_pb2, raft_pb2, raft_pb2_grpc, types_pb2
from manager.group.group import Group, seat_of
from manager.state.changes import Batch, batch, copy, update
from manager.state.proposer import Proposer, propose_anew
from manager.state.store import View

_WORKER = types_pb2.NODE_ROLE_WORKER


class ManagerGroupService(raft_pb2_grpc.ManagerGroupServicer):
    """Serves managers, behind an Authorizer; put a Forwarder before it."""

    def __init__(self, view: View, proposer: Proposer, group: Group) -> None:
        self._view = view
        self._proposer = proposer
        self._group = group

    async def Join(
        self, request: raft_pb2.JoinGroupRequest, context: Context
    ) -> raft_pb2.JoinGroupResponse:
        """Makes the calling manager a learner; the keeper gives it its vote."""
        split_address(request.address)
        if not request.raft_id:
            raise invalid("raft_id", "must not be 0")
        node = self._node(caller().id)
        if node.spec.role == _WORKER:
            raise SwarmError(
                Code.DENIED,
                f"node {node.id} is to be a worker",
                remedy=f"make it a manager first: swarmctl node promote {node.id}",
            )
        member = raft_pb2.Member(raft_id=request.raft_id, node_id=node.id, address=request.address)
        await self._group.take_seat(member)
        return raft_pb2.JoinGroupResponse(
            group_id=self._group.group_id,
            raft_id=request.raft_id,
            members=self._group.members(),
        )

    async def Leave(
        self, request: raft_pb2.LeaveGroupRequest, context: Context
    ) -> raft_pb2.LeaveGroupResponse:
        """Takes the calling manager out, and makes a worker of its node, which can be removed then.

        UNAVAILABLE from a leader that is to leave itself, once another leads: ask that one.
        """
        node_id = caller().id
        seat = seat_of(self._group.seats(), node_id)
        if seat is not None and seat.raft_id == self._group.own_id:
            await self._group.hand_over()
            raise SwarmError(
                Code.UNAVAILABLE,
                "the leader cannot take itself out of the group",
                why="no other manager has taken over yet",
                remedy="try again",
            )
        if seat is not None:
            await self._group.remove(seat, force=request.force)
        await self._make_worker(node_id)
        return raft_pb2.LeaveGroupResponse()

    async def _make_worker(self, node_id: str) -> None:
        def demotion() -> tuple[Batch, str]:
            changed = copy(self._node(node_id))
            changed.spec.role = _WORKER
            return batch(update(changed)), node_id

        if self._node(node_id).spec.role != _WORKER:
            await propose_anew(self._proposer, demotion)

    def _node(self, node_id: str) -> objects_pb2.Node:
        node = self._view.get(objects_pb2.Node, node_id)
        if node is None:
            raise SwarmError(Code.NOT_FOUND, f"node {node_id} is not part of this swarm")
        return node
