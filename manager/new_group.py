"""What the state says of its managers once one of them begins a group alone. Pure.

Whoever was a manager in the group of before is a worker from then on: it does not count, and can be
removed or made a manager again. Its seat is not known in the new group, and its log is dropped when
it hears of this.
"""

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from api.v1 import objects_pb2, raft_pb2, types_pb2
from manager.state.changes import Change, copy, create, update
from manager.state.store import View

_MANAGER = types_pb2.NODE_ROLE_MANAGER
_WORKER = types_pb2.NODE_ROLE_WORKER


def left_alone(view: View, own: raft_pb2.Member) -> Iterator[Change]:
    """The changes where the manager `own`, whose node is in the state, goes on without others."""
    for node in view.all(objects_pb2.Node):
        changed = copy(node)
        if node.id == own.node_id:
            _seat(changed, own)
        elif not _unseat(changed):
            continue
        yield update(changed)


def moved_in(
    view: View, node: objects_pb2.Node, own: raft_pb2.Member, at: Timestamp
) -> Iterator[Change]:
    """The changes where the new node `node` takes the place of all managers that were: these are
    down since `at`.
    """
    for other in view.all(objects_pb2.Node):
        changed = copy(other)
        if _unseat(changed):
            changed.status.state = types_pb2.NODE_STATE_DOWN
            changed.status.message = "the swarm was restored from a backup elsewhere"
            changed.status.since.CopyFrom(at)
            yield update(changed)
    fresh = copy(node)
    _seat(fresh, own)
    yield create(fresh)


def _seat(node: objects_pb2.Node, own: raft_pb2.Member) -> None:
    node.spec.role = node.role = _MANAGER
    node.manager.CopyFrom(
        objects_pb2.ManagerStatus(
            address=own.address, leader=True, reachable=True, raft_id=own.raft_id
        )
    )


def _unseat(node: objects_pb2.Node) -> bool:
    """Makes a worker of it; whether it was anything else.

    What its certificate says is worth a worker's from now on (manager.ca.members).
    """
    was = _MANAGER in (node.spec.role, node.role) or node.HasField("manager")
    node.spec.role = node.role = _WORKER
    node.ClearField("manager")
    return was
