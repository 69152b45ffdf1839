"""What the events of tasks tell. Docker has none: there, whoever wants to know what became of a
task has to ask each node for its containers.
"""

from collections.abc import Sequence
from sys import intern  # thousands of events name the same few services and nodes

from api.states import RUNNING, task_name
from api.v1 import objects_pb2, types_pb2
from manager.events.steps import Attributes, Step, Words, changed, shortened

UPDATE, STATE, HEALTH = "update", "state", "health_status"
TOLD = {
    UPDATE: ("desired.old", "desired.new", "error"),
    STATE: ("state.old", "state.new", "exitCode", "oomKilled", "error"),
    HEALTH: ("health.old", "health.new"),
}
_STATES = Words(dict(types_pb2.TaskState.items()), "TASK_STATE_")
_HEALTHS = Words(dict(types_pb2.HealthState.items()), "HEALTH_STATE_")
_ENDED = ("COMPLETE", "FAILED")
"""States in which the exit code says something."""
_WITH_EXIT_CODE = frozenset(types_pb2.TaskState.Value(f"TASK_STATE_{name}") for name in _ENDED)


def always(task: objects_pb2.Task) -> Attributes:
    """Which task of which service it is, and where."""
    told = {
        "name": intern(shortened(task_name(task))),
        "service": intern(shortened(task.service_name)),
        "service.id": intern(task.service_id),
    }
    if task.node_id:
        told["node.id"] = intern(task.node_id)
    return told


def updates(old: objects_pb2.Task, new: objects_pb2.Task) -> Sequence[Step]:
    """What is wanted of it, how far it has come, and how it feels."""
    steps = []
    before, after = old.status, new.status
    moved = before.state != after.state
    wanted = _wanted(old, new)
    if not moved and after.error and before.error != after.error:
        wanted["error"] = shortened(after.error)  # as why it waits for a node
    if wanted:
        steps.append(Step(UPDATE, wanted))
    if moved:
        steps.append(Step(STATE, _state(before, after)))
    was, is_now = before.container.health, after.container.health
    if was != is_now:
        steps.append(Step(HEALTH, changed("health", _HEALTHS[was], _HEALTHS[is_now])))
    return steps


def _wanted(old: objects_pb2.Task, new: objects_pb2.Task) -> Attributes:
    if old.desired_state == new.desired_state:
        return {}
    return changed("desired", _STATES[old.desired_state], _STATES[new.desired_state])


def _state(before: objects_pb2.TaskStatus, after: objects_pb2.TaskStatus) -> Attributes:
    told = changed("state", _STATES[before.state], _STATES[after.state])
    if after.state > RUNNING:
        if after.state in _WITH_EXIT_CODE and after.container.container_id:
            told["exitCode"] = f"{after.container.exit_code}"
        if after.container.oom_killed:
            told["oomKilled"] = "true"
    if after.error:
        told["error"] = shortened(after.error)
    return told
