"""What becomes of a task on its host, told by the name of its image. Knows no store.

`app:1` runs; `bad:1` is rejected, as an image that is not there; `crash:1` fails as soon as it
runs; `once:1` completes then; `slow:1` comes to STARTING and stays; `stubborn:1` never stops;
`stuck:1` is never placed.
"""

from typing import TypeAlias

from api import states
from api.v1 import objects_pb2, types_pb2

State: TypeAlias = types_pb2.TaskState.ValueType
_ENDS: dict[str, State] = {"crash": states.FAILED, "once": states.COMPLETE}


def next_state(task: objects_pb2.Task) -> State | None:
    """The state that a task on a reachable node comes to next; None if it stays as it is."""
    kind = task.spec.container.image.partition(":")[0]
    state = task.status.state
    if states.is_terminal(task) or state < states.ASSIGNED:
        return None
    if task.desired_state > states.RUNNING:
        return None if kind == "stubborn" else states.SHUTDOWN
    if state < states.READY:
        return states.REJECTED if kind == "bad" else states.READY
    if task.desired_state < states.RUNNING:
        return None
    if state == states.READY:
        return states.STARTING
    if state == states.STARTING:
        return None if kind == "slow" else states.RUNNING
    return _ENDS.get(kind)
