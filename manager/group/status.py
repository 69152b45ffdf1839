"""What a manager tells of its group: who sits in it, who leads, how far each has come."""

from api.v1 import control_pb2, objects_pb2, raft_pb2
from manager.group.group import Group
from manager.raft.node.node import RaftNode
from manager.state.store import View


def group_status(group: Group, node: RaftNode, view: View) -> control_pb2.ManagerGroupStatus:
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
                hostname=_hostname(view, seat.node_id),
            )
            for seat in group.seats()
        ],
        details=status.describe(),
    )


def _hostname(view: View, node_id: str) -> str:
    node = view.get(objects_pb2.Node, node_id)
    return "" if node is None else node.description.hostname
