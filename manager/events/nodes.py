"""What the events of nodes tell: Docker's attributes, and why a node is not ready."""

from collections.abc import Sequence

from api.v1 import objects_pb2, types_pb2
from manager.events.parts import CHANGED, touched
from manager.events.steps import Attributes, Step, Words, changed, named, shortened, shown

UPDATE_TELLS = (
    "availability.old",
    "availability.new",
    "role.old",
    "role.new",
    "state.old",
    "state.new",
    "message",
    "leader.old",
    "leader.new",
    "reachability.old",
    "reachability.new",
    CHANGED,
)
_AVAILABILITIES = Words(dict(types_pb2.NodeAvailability.items()), "NODE_AVAILABILITY_")
_ROLES = Words(dict(types_pb2.NodeRole.items()), "NODE_ROLE_")
_STATES = Words(dict(types_pb2.NodeState.items()), "NODE_STATE_")


def always(node: objects_pb2.Node) -> Attributes:
    """Its name, as Docker has it: the one it was given, or else its host's."""
    return named(node.spec.annotations.name or node.description.hostname)


def updates(old: objects_pb2.Node, new: objects_pb2.Node) -> Sequence[Step]:
    """One event, unless only the swarm's own notes about the node have changed."""
    told = {
        **_words("availability", _AVAILABILITIES, old.spec.availability, new.spec.availability),
        **_words("role", _ROLES, old.role, new.role),
        **_state(old.status, new.status),
        **_manager(old, new),
    }
    told |= touched(old.spec, new.spec)
    if told or old.description != new.description:
        return (Step("update", told),)
    return ()


def _words(name: str, names: Words, old: int, new: int) -> Attributes:
    return changed(name, names[old], names[new]) if old != new else {}


def _state(old: objects_pb2.NodeStatus, new: objects_pb2.NodeStatus) -> Attributes:
    told = _words("state", _STATES, old.state, new.state)
    if told and new.message:
        told["message"] = shortened(new.message)
    return told


def _manager(old: objects_pb2.Node, new: objects_pb2.Node) -> Attributes:
    was, is_now = old.manager, new.manager
    told = changed("leader", shown(was.leader), shown(is_now.leader))
    if old.HasField("manager") and new.HasField("manager"):
        told |= changed("reachability", _reachability(was), _reachability(is_now))
    return told


def _reachability(manager: objects_pb2.ManagerStatus) -> str:
    return "reachable" if manager.reachable else "unreachable"
