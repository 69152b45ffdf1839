"""Which events call for a look at a service, or at a slot of it. Pure."""

from api import states
from api.v1 import objects_pb2
from manager.state.changes import Event


def task_matters(event: Event) -> bool:
    """Whether a change of a task could call for a decision: most steps up to RUNNING do not."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Task) or not isinstance(new, objects_pb2.Task):
        return True
    return (
        old.desired_state != new.desired_state
        or old.node_id != new.node_id
        or new.status.state >= states.RUNNING
        or not states.is_wanted(new)
    )


def has_left(event: Event) -> bool:
    """Whether a task filled its slot until now, and does so no more."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Task) or old.desired_state == states.REMOVE:
        return False
    return not isinstance(new, objects_pb2.Task) or new.desired_state == states.REMOVE


def node_matters(event: Event) -> bool:
    """Whether the node's tasks may have to go, or others may come."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Node) or not isinstance(new, objects_pb2.Node):
        return True
    return old.status.state != new.status.state or old.spec.availability != new.spec.availability


def node_looks_different(event: Event) -> bool:
    """Whether a constraint could say something else of the node now."""
    old, new = event.old, event.new
    if not isinstance(old, objects_pb2.Node) or not isinstance(new, objects_pb2.Node):
        return True
    return (
        old.role != new.role
        or old.spec != new.spec
        or old.status.address != new.status.address
        or old.description != new.description
    )
