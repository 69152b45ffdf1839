"""How often the tasks of a slot have ended by themselves: what `max_attempts` counts. Pure.

It is written in each new task (`Task.attempts`), so that the history of a slot may be as short as
its limit says (moby#35637: there `max_attempts` keeps as many ended tasks). A slot starts anew with
each version of the spec. The window is counted in time that tasks ran, not in the delays between
them (swarmkit#2936: a window below the delay never tripped).
"""

from collections.abc import Sequence

from api.times import duration, seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.tasks import ended_by_itself

Attempts = objects_pb2.Attempts

GRAIN = 50
"""Attempts that together ran for less than such a part of the window are remembered as one."""


def attempts_before(tasks: Sequence[objects_pb2.Task], version: int) -> list[Attempts]:
    """What the next task of a slot, of a version of the spec, is to know of the `tasks` before it.

    Oldest first. The oldest is the first attempt ever, or lies before the window.
    """
    last = next((task for task in reversed(tasks) if task.spec_version == version), None)
    if last is None or not last.spec.restart.max_attempts:
        return []
    known = _with_its_own(last) if ended_by_itself(last) else list(last.attempts)
    window = _window(last.spec.restart)
    if window:
        return _within(window, known)
    count = sum(each.count for each in known)
    return [Attempts(count=count)] if count else []


def restarts_of(ended: objects_pb2.Task) -> int:
    """How many restarts count against the policy of a task that ended by itself.

    The first attempt was no restart.
    """
    window = _window(ended.spec.restart)
    ran, count = 0.0, 0
    for each in reversed(_with_its_own(ended)):
        ran += seconds_of(each.ran)
        if window and ran > window:
            return count
        count += each.count
    return count - 1


def _with_its_own(task: objects_pb2.Task) -> list[Attempts]:
    return [*task.attempts, Attempts(count=1, ran=duration(_lifetime(task)))]


def _within(window: float, known: Sequence[Attempts]) -> list[Attempts]:
    """Those within the window and the one before it; never more than some dozens."""
    kept: list[Attempts] = []  # newest first
    ran = 0.0
    for each in reversed(known):
        if ran > window:
            break
        ran += seconds_of(each.ran)
        together = seconds_of(each.ran) + (seconds_of(kept[-1].ran) if kept else 0.0)
        if kept and together <= window / GRAIN:
            kept[-1] = Attempts(count=kept[-1].count + each.count, ran=duration(together))
        else:
            kept.append(each)
    return kept[::-1]


def _window(policy: specs_pb2.RestartPolicy) -> float:
    """In seconds; 0: for ever."""
    return seconds_of(policy.window) if policy.HasField("window") else 0.0


def _lifetime(task: objects_pb2.Task) -> float:
    start = max(seconds_of(task.meta.created_at), seconds_of(task.start_after))
    return max(0.0, seconds_of(task.meta.updated_at) - start)
