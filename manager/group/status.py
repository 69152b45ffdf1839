"""What a manager tells of its group: who sits in it, who leads, how far each has come."""

from api.v1 import control_pb2, raft_pb2
from manager.group.group import Group
from manager.raft.node.node import RaftNode


def group_status(group: Group, node: RaftNode) -> control_pb2.ManagerGroupStatus:
    """As this manager sees it; how far the others have come is known to the leader alone."""
    status = node.status()
    return control_pb2.ManagerGroupStatus(
        group_id=node.group_id,
        raft_id=node.raft_id,
        leader=node.leader_id,
        term=node.term,
        commit=status.hard_state.commit,
        applied=node.applied,
        members=[
            control_pb2.GroupMember(
                member=raft_pb2.Member(
                    raft_id=seat.raft_id, node_id=seat.node_id, address=seat.address
                ),
                voter=seat.voter,
                active=seat.active,
                match=seat.match,
            )
            for seat in group.seats()
        ],
        details=status.describe(),
    )
