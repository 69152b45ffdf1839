"""What an agent does next with a task, and what its outcome makes of the task's status. Pure.

The rule is SwarmKit's (agent/exec/controller.go, `Do`): one step at a time; preparing, starting and
waiting may run past the desired state, everything else pauses at it; a desired state of SHUTDOWN or
more stops what runs; a failure before STARTING gives REJECTED, from there on FAILED; temporary
failures leave the state as it is and are tried again. Messages are Docker's.

A task with a health check is STARTING until it is healthy. One that is unhealthy is stopped, and
has FAILED; its status says so before, and a daemon that restarts meanwhile goes on with the stop.

Holds no task, reads no clock, and never touches a container: `task_runner` obeys it.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias

from api.states import (
    ACCEPTED,
    COMPLETE,
    FAILED,
    HEALTHY,
    PREPARING,
    READY,
    REJECTED,
    RUNNING,
    SHUTDOWN,
    STARTING,
    UNHEALTHY,
    UNPROVEN,
)
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2, types_pb2
from worker.executor import ExitResult, Health, HealthState

State: TypeAlias = types_pb2.TaskState.ValueType
TaskStatus = objects_pb2.TaskStatus

RETRY_FIRST = 1.0
RETRY_LONGEST = 30.0
"""Seconds before a step that failed for now is tried again: doubling from the one to the other."""

TOLD_AGAIN = 60.0
"""Seconds after which it is told anew how much of an image has come, or why a task is not healthy
yet: managers take a task that says nothing for five minutes for one that failed
(manager/orchestrator/trial.py).
"""
_MEGABYTE, _GIGABYTE = 1_000_000, 1_000_000_000
_WORDS: dict[HealthState, str] = {
    UNPROVEN: "not healthy yet",
    HEALTHY: "healthy",
    UNHEALTHY: "unhealthy",
}


class Action(enum.Enum):
    """A step that the executor carries out; each of them may be repeated without harm."""

    PREPARE = "prepare"
    START = "start"
    WAIT = "wait"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Advance:
    """The task moves on without work: take over this status and ask again."""

    status: TaskStatus


@dataclass(frozen=True, slots=True)
class Perform:
    """Let the executor do this, and hand its outcome to `conclude`."""

    action: Action


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to do until the managers want something else of the task."""


Step = Advance | Perform | Pause


@dataclass(frozen=True, slots=True)
class Prepared:
    """The container is made."""


@dataclass(frozen=True, slots=True)
class Started:
    """The container runs; with a health check it is yet to prove itself."""

    container: objects_pb2.ContainerStatus


@dataclass(frozen=True, slots=True)
class Judged:
    """The container runs on, but its health is another than before."""

    health: Health


@dataclass(frozen=True, slots=True)
class Ended:
    """The container has ended; None: there is none, or it never ran."""

    exit: ExitResult | None


@dataclass(frozen=True, slots=True)
class Failure:
    """The step did not succeed; if `temporary`, the same step may yet do."""

    error: str
    temporary: bool = False


Outcome = Prepared | Started | Judged | Ended | Failure

_PAST_DESIRED = {PREPARING: Action.PREPARE, STARTING: Action.START, RUNNING: Action.WAIT}
"""States whose work goes on to its end once it has begun, whatever the desired state is."""


def next_step(desired: State, status: TaskStatus, now: float) -> Step:
    """The step from what was observed towards what is desired; `now`: seconds since the epoch."""
    state = status.state
    if desired >= SHUTDOWN:
        return Pause() if state >= COMPLETE else Perform(Action.SHUTDOWN)
    if state > desired:
        return Pause()
    if state in _PAST_DESIRED:
        return Perform(_work_of(status))
    if state >= desired:
        return Pause()
    if state < ACCEPTED:
        return Advance(_moved(status, ACCEPTED, "accepted", now))
    if state == ACCEPTED:
        return Advance(_moved(status, PREPARING, "preparing", now))
    if state == READY:
        return Advance(_moved(status, STARTING, "starting", now))
    return Pause()


def _work_of(status: TaskStatus) -> Action:
    if _is_unhealthy(status):
        return Action.SHUTDOWN
    if status.state == STARTING and status.container.health == UNPROVEN:
        return Action.WAIT  # it was started
    return _PAST_DESIRED[status.state]


def _is_unhealthy(status: TaskStatus) -> bool:
    """Whether the task is to be stopped, or was, for what its health check said."""
    return status.container.health == UNHEALTHY


def conclude(status: TaskStatus, outcome: Outcome, *, stopping: bool, now: float) -> TaskStatus:
    """The status after a step; `stopping`: the step was a shutdown."""
    match outcome:
        case Failure():
            return _failed(status, outcome, now)
        case Prepared():
            return _moved(status, READY, "prepared", now)
        case Started(container=container):
            unproven = container.health == UNPROVEN
            state, message = (STARTING, _WORDS[UNPROVEN]) if unproven else (RUNNING, "started")
            started = _moved(status, state, message, now)
            started.container.CopyFrom(container)
            return started
        case Judged(health=health):
            return _judged(status, health, now)
        case Ended(exit=end):
            return _stopped(status, end, now) if stopping else _finished(status, end, now)


def tells_again(told_at: float, now: float) -> bool:
    """Whether to tell anew how far it is; also where the clock was set back since."""
    return not told_at <= now < told_at + TOLD_AGAIN


def still_preparing(status: TaskStatus, came: int, total: int, now: float) -> TaskStatus:
    """The status of a task so many bytes of whose images have come."""
    size, unit = (_MEGABYTE, "MB") if total < _GIGABYTE else (_GIGABYTE, "GB")
    message = f"preparing: {came / size:.1f} of {total / size:.1f} {unit}"
    return _moved(status, PREPARING, message, now)


def still_unproven(status: TaskStatus, health: Health, now: float) -> TaskStatus | None:
    """The status of a task that a probe found not healthy yet; None: there is no need to tell.

    The first one is told at once, and once a minute what is new since.
    """
    if status.container.health_log and not tells_again(seconds_of(status.at), now):
        return None
    found = _judged(status, health, now)
    return None if found.error == status.error else found


def retry_delay(failures: int) -> float:
    """Seconds to wait after so many temporary failures in a row (at least one)."""
    return min(RETRY_LONGEST, RETRY_FIRST * 2.0 ** min(failures - 1, 16))


def _moved(status: TaskStatus, state: State, message: str, now: float) -> TaskStatus:
    moved = TaskStatus()
    moved.CopyFrom(status)
    moved.state = state
    moved.message = message
    moved.error = ""
    if now > seconds_of(status.at):  # the clock may be set back, and managers drop what is older
        moved.at.CopyFrom(timestamp(now))
    return moved


def _judged(status: TaskStatus, health: Health, now: float) -> TaskStatus:
    word = _WORDS[health.state]
    judged = _moved(status, RUNNING if health.state == HEALTHY else status.state, word, now)
    judged.error = "" if health.state == HEALTHY else f"{word}: {health.reason}"
    judged.container.health = health.state
    del judged.container.health_log[:]
    judged.container.health_log.extend(health.log)
    return judged


def _failed(status: TaskStatus, failure: Failure, now: float) -> TaskStatus:
    state = status.state
    if not failure.temporary:
        state = REJECTED if status.state < STARTING else FAILED
    failed = _moved(status, state, status.message, now)
    # What follows from its ill health does not hide it.
    failed.error = status.error if _is_unhealthy(status) else failure.error
    return failed


def _stopped(status: TaskStatus, end: ExitResult | None, now: float) -> TaskStatus:
    if _is_unhealthy(status):
        stopped = _failed(status, Failure(status.error), now)
    else:
        stopped = _moved(status, SHUTDOWN, "shutdown", now)
    if end is not None:
        _note_exit(stopped, end)
    return stopped


def _finished(status: TaskStatus, end: ExitResult | None, now: float) -> TaskStatus:
    if end is None:
        return _failed(status, Failure("task: its container is gone"), now)
    # When it ended, even if the daemon was away then; but never before the step before.
    at = min(now, max(end.at, seconds_of(status.at)))
    if end.code == 0 and not end.message:
        finished = _moved(status, COMPLETE, "finished", at)
    else:
        finished = _failed(status, Failure(_exit_error(end)), at)
    _note_exit(finished, end)
    return finished


def _exit_error(end: ExitResult) -> str:
    cause = end.message or ("out of memory" if end.oom_killed else "")
    return f"task: non-zero exit ({end.code})" + (f": {cause}" if cause else "")


def _note_exit(status: TaskStatus, end: ExitResult) -> None:
    status.container.pid = 0
    status.container.exit_code = end.code
    status.container.oom_killed = end.oom_killed
