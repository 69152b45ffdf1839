"""The states of a task as an order, and the words people see.

The observed state works like a Lamport clock: a report with a smaller state is stale and dropped.
Orchestrators write NEW, the allocator PENDING, the scheduler ASSIGNED, agents everything from
ACCEPTED to REJECTED, the constraint enforcer REJECTED too, the dispatcher ORPHANED. Desired states
are written by managers only (SwarmKit, design/task_model.md).
"""

from api.v1 import objects_pb2, types_pb2

NEW = types_pb2.TASK_STATE_NEW
PENDING = types_pb2.TASK_STATE_PENDING
ASSIGNED = types_pb2.TASK_STATE_ASSIGNED
ACCEPTED = types_pb2.TASK_STATE_ACCEPTED
PREPARING = types_pb2.TASK_STATE_PREPARING
READY = types_pb2.TASK_STATE_READY
STARTING = types_pb2.TASK_STATE_STARTING
RUNNING = types_pb2.TASK_STATE_RUNNING
COMPLETE = types_pb2.TASK_STATE_COMPLETE
SHUTDOWN = types_pb2.TASK_STATE_SHUTDOWN
FAILED = types_pb2.TASK_STATE_FAILED
REJECTED = types_pb2.TASK_STATE_REJECTED
REMOVE = types_pb2.TASK_STATE_REMOVE
ORPHANED = types_pb2.TASK_STATE_ORPHANED

UNCHECKED = types_pb2.HEALTH_STATE_NONE
UNPROVEN = types_pb2.HEALTH_STATE_STARTING
HEALTHY = types_pb2.HEALTH_STATE_HEALTHY
UNHEALTHY = types_pb2.HEALTH_STATE_UNHEALTHY
"""What the health check of a container says; UNPROVEN: it has not succeeded yet."""


def state_name(state: int) -> str:
    """The state as `ps` shows it: Running, Failed."""
    return (
        types_pb2.TaskState.Name(types_pb2.TaskState.ValueType(state))
        .removeprefix("TASK_STATE_")
        .capitalize()
    )


def health_name(health: int) -> str:
    """Health as `ps` shows it: starting, healthy; empty where there is no check."""
    if health == UNCHECKED:
        return ""
    name = types_pb2.HealthState.Name(types_pb2.HealthState.ValueType(health))
    return name.removeprefix("HEALTH_STATE_").lower()


def is_terminal(task: objects_pb2.Task) -> bool:
    """Whether the task will never run again, by what was observed."""
    return task.status.state > RUNNING


def is_live(task: objects_pb2.Task) -> bool:
    """Whether the task counts towards its service: wanted to run, and not ended."""
    return is_wanted(task) and not is_terminal(task)


def is_wanted(task: objects_pb2.Task) -> bool:
    """Whether the task is meant to run, a job's to its end; how it ended, if it did, is open."""
    return task.desired_state <= COMPLETE


def task_name(task: objects_pb2.Task) -> str:
    """The name people see: `web.3` of a replicated service, `web.NODE_ID` of a global one; of the
    place that a container holds in a network, the container's.
    """
    if task.spec.HasField("attachment"):
        return task.spec.attachment.name
    return f"{task.service_name}.{task.slot or task.node_id or task.id}"
