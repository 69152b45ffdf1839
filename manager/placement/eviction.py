"""How a task is marked that its node no longer suits, and how it is told from a failed one. Pure.

It is rejected, as SwarmKit's constraint enforcer does it, with that enforcer's words. It has not
failed: it counts as no attempt, no failure of the node, and its successor waits for no delay.
"""

from api import states
from api.times import timestamp
from api.v1 import objects_pb2
from manager.state.changes import copy

MESSAGE = "task rejected by constraint enforcer"


def evicted(task: objects_pb2.Task, why: str, now: float) -> objects_pb2.Task:
    """A copy that has ended here because its node no longer suits it."""
    ended = copy(task)
    ended.status.state = states.REJECTED
    ended.status.message = MESSAGE
    ended.status.error = why
    ended.status.at.CopyFrom(timestamp(now))
    return ended


def was_evicted(task: objects_pb2.Task) -> bool:
    """Whether the task ended only because its node no longer suited it."""
    return task.status.state == states.REJECTED and task.status.message == MESSAGE
