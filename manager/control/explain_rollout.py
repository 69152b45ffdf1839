"""How far a rollout came, and what it waits for, in words. Pure.

Asks the orchestrator's own look at each slot (manager/orchestrator/standing.py).
"""

from collections import Counter
from collections.abc import Generator, Sequence

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.restart import Scene
from manager.orchestrator.rollback import HALTED, PAUSED, ROLLBACK_STARTED, UNDER_WAY
from manager.orchestrator.slots import Slot
from manager.orchestrator.standing import Look, Progress
from manager.orchestrator.tasks import Fates

NAMED = 3
"""Tasks that are waited for, of which so many are named."""


def rollout(
    service: objects_pb2.Service,
    slots: Sequence[Slot],
    fates: Fates,
    now: float,
    waited_since: float = 0.0,
) -> Generator[None, None, str]:
    """What is to be said; nothing if no rollout is under way or paused."""
    state = service.update_status.state
    if state not in (*UNDER_WAY, *HALTED):
        return ""
    config = service.spec.rollback if state == ROLLBACK_STARTED else service.spec.update
    look = Look(Scene(service, fates, _no_ids, now, waited_since=waited_since), config)
    counts: Counter[Progress] = Counter()
    waited_for: list[tuple[objects_pb2.Task, float]] = []  # with the moment when that is over
    for slot in slots:
        each = look.standing(slot)
        counts[each.progress] += 1
        if each.progress is Progress.BUSY and each.trial is not None:
            waited_for.append((each.trial, now if each.until is None else each.until))
        yield
    done = counts[Progress.SETTLED] + counts[Progress.PASSED] + counts[Progress.WATCHED]
    text = f"{service.update_status.message}: {done:,} of {len(slots):,} tasks are of the new spec"
    if counts[Progress.FAILED]:
        text += f", {counts[Progress.FAILED]:,} failed"
    if state in HALTED:
        return f"{text}. {_how_to_go_on(service)}"
    waits = [_words(task, max(0.0, until - now)) for task, until in waited_for[:NAMED]]
    if len(waited_for) > NAMED:
        waits.append(f"{len(waited_for) - NAMED:,} more")
    if not waits and counts[Progress.WATCHED]:
        waits = [f"{counts[Progress.WATCHED]:,} tasks on trial"]
    return f"{text}. It waits for {', '.join(waits)}" if waits else text


def _words(task: objects_pb2.Task, left: float) -> str:
    """`left`: seconds, for which it may go on like this."""
    if task.status.state == states.RUNNING:
        return f"{states.task_name(task)} (runs; {left:.0f} s of the delay are left)"
    error = f": {task.status.error}" if task.status.error else ""
    state = states.state_name(task.status.state).lower()
    return f"{states.task_name(task)} ({state}{error}; counts as failed in {left:.0f} s)"


def _how_to_go_on(service: objects_pb2.Service) -> str:
    name = service.spec.annotations.name
    if service.update_status.state == PAUSED:
        return f"To go on: swarmctl service update {name}; back: swarmctl service rollback {name}"
    return f"To go on: swarmctl service rollback {name}"


def _no_ids() -> str:
    raise AssertionError("an explanation makes no objects")
