"""How far a service is, as lines: a pure function of what was watched. Draws nothing.

Follows Docker's display (docker/cli, service/progress): a count, a bar per slot up to 20 of them
with the nine ordered states, then a wait until all has been stable for 5 seconds. Unlike Docker's
it says why a task waits, and of which task an error is.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from api.modes import is_everywhere, is_job
from api.states import (
    ACCEPTED,
    ASSIGNED,
    NEW,
    PENDING,
    PREPARING,
    READY,
    RUNNING,
    STARTING,
    is_live,
    state_name,
)
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import expected
from swarmctl.cli.expected import Slot, is_up
from swarmctl.cli.render import shortened
from swarmctl.cli.rollouts import PAUSED, ROLLBACK, UNDER_WAY

Update = objects_pb2.UpdateStatus
MAX_BARS = 20
STABLE_SECONDS = 5.0
ERROR_LENGTH = 75
MAX_REASONS = 3
_BAR_WIDTH = 50
_STAGES = (NEW, PENDING, ASSIGNED, ACCEPTED, PREPARING, READY, STARTING, RUNNING)
_CONVERGED = "Service converged"


@dataclass
class Watched:
    """What the watch has told so far of one service."""

    service: objects_pb2.Service
    tasks: dict[str, objects_pb2.Task] = field(default_factory=dict)
    removed: bool = False
    _is_whole: bool = True
    """Whether the next message begins with the whole state, as the first of a stream does."""
    _goes_back: bool = False
    """Whether the service was rolled back, or about to be, when the wait began."""
    _cause: str = ""
    """Why it is being rolled back, if it was not then."""

    def __post_init__(self) -> None:
        self._goes_back = self.service.update_status.state in ROLLBACK

    def restart(self) -> None:
        """Says that a new stream begins, since the old one broke."""
        self._is_whole = True

    def take(self, message: control_pb2.WatchMessage) -> None:
        """Takes a message of the watch in."""
        if message.resync or self._is_whole:
            self.tasks.clear()
            # A manager that lags behind may not know yet what was just created.
            self.removed = message.version >= self.service.meta.version
        self._is_whole = False
        for event in message.events:
            self._take(event)

    def _take(self, event: control_pb2.WatchEvent) -> None:
        gone = event.action == control_pb2.WatchEvent.ACTION_DELETE
        kind = event.object.WhichOneof("kind")
        if kind == "service":
            self.removed = gone
            if event.object.service.meta.version >= self.service.meta.version:
                self.service = event.object.service
                status = self.service.update_status
                if status.state == Update.STATE_ROLLBACK_STARTED:
                    self._cause = status.message
        elif kind == "task" and gone:
            self.tasks.pop(event.object.task.id, None)
        elif kind == "task":
            self.tasks[event.object.task.id] = event.object.task

    def slots(self) -> list[Slot]:
        """What the service should have, with the task that stands for each part."""
        return expected.slots(self.service, self.tasks.values())

    def done(self) -> int:
        """How many slots run the service as it is specified now; of a job, have completed."""
        return sum(is_up(slot.task, self.service) for slot in self.slots())

    def is_converged(self) -> bool:
        """Whether every slot is up and no update is under way. With no node at all none is."""
        slots = self.slots()
        if not slots and is_everywhere(self.service):
            return False
        updating = self.service.update_status.state in UNDER_WAY
        return not updating and all(is_up(slot.task, self.service) for slot in slots)

    def stopped(self) -> str:
        """Why there is no use in waiting on, or nothing."""
        if self.removed:
            return "the service was removed"
        if is_job(self.service) and (reason := self._given_up()):
            return reason
        state = self.service.update_status.state
        if state == Update.STATE_ROLLBACK_COMPLETED and not self._goes_back:
            why = self._cause or self.service.update_status.message
            return f"it was rolled back: {why}"
        return PAUSED.get(state, "") and self.update()

    def update(self) -> str:
        """What is to say of an update that is under way or was stopped."""
        status = self.service.update_status
        words = UNDER_WAY.get(status.state) or PAUSED.get(status.state, "")
        return f"{words}: {status.message}" if words and status.message else words

    def reasons(self) -> list[str]:
        """Why slots are not up: errors before mere steps, the most common first."""
        if not (slots := self.slots()) and is_everywhere(self.service):
            return ["no node takes part yet"]
        counts = Counter(_reason(s.task) for s in slots if not is_up(s.task, self.service))
        ordered = sorted(counts, key=lambda reason: (not reason.is_error, -counts[reason]))
        return [f"{reason.text} ({_tasks(counts[reason])})" for reason in ordered]

    def _given_up(self) -> str:
        """What to say of a job that will never complete, once nothing of it is under way."""
        slots = self.slots()
        failed = [slot for slot in slots if expected.is_given_up(slot.task)]
        if not failed or len(failed) + self.done() < len(slots):
            return ""
        error = failed[0].task.status.error if failed[0].task is not None else ""
        return f"{_tasks(len(failed))} failed for good; {failed[0].name}: {error}"


@dataclass
class Stability:
    """Since when everything has been up; times in seconds of any steady clock."""

    since: float | None = None
    at_once: bool = False
    """Whether no wait is needed, since nothing can come undone: so it is with jobs."""

    def update(self, converged: bool, now: float) -> bool:
        """Whether it has been up for long enough; a setback starts the wait anew."""
        if not converged:
            self.since = None
        elif self.since is None:
            self.since = now
        return self.since is not None and self.remaining(now) == 0

    def remaining(self, now: float) -> float:
        """Seconds until it counts as stable."""
        needed = 0.0 if self.at_once else STABLE_SECONDS
        return needed if self.since is None else max(0.0, needed - now + self.since)


def lines(watched: Watched, stability: Stability, now: float, width: int) -> list[str]:
    """What a terminal shows: the count, the bars, what is waited for."""
    slots = watched.slots()
    shown = [_count(watched, slots)]
    if update := watched.update():
        shown.append(update)
    if len(slots) <= MAX_BARS:
        shown += [_bar(slot, watched.service) for slot in slots]
    else:
        shown += watched.reasons()[:MAX_REASONS]
    shown.append(_verification(watched, stability, now))
    return [line[:width] for line in shown]


def changes(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """The lines that were not there before: what a log shows where no terminal is."""
    known = set(before)
    return [line for line in after if line not in known]


def log_lines(watched: Watched) -> list[str]:
    """What a log shows: one line a slot with its state in words; the reasons if slots are many."""
    slots = watched.slots()
    name = watched.service.spec.annotations.name
    up = "have completed" if is_job(watched.service) else "are up"
    shown = [f"{name}: {watched.done()} out of {len(slots)} tasks {up}"]
    if update := watched.update():
        shown.append(f"{name}: {update}")
    if len(slots) <= MAX_BARS:
        shown += [f"{slot.name} {_sentence(slot.task)}" for slot in slots]
    else:
        shown += [f"{name}: {reason}" for reason in watched.reasons()[:MAX_REASONS]]
    return shown


def _sentence(task: objects_pb2.Task | None) -> str:
    if task is None:
        return "is not created yet"
    error = shortened(task.status.error, ERROR_LENGTH)
    return f"is {state_name(task.status.state).lower()}" + (f": {error}" if error else "")


def _count(watched: Watched, slots: list[Slot]) -> str:
    if not is_job(watched.service):
        return f"overall progress: {watched.done()} out of {len(slots)} tasks"
    active = [slot.task for slot in slots if slot.task is not None and is_live(slot.task)]
    running = sum(task.status.state == RUNNING for task in active)
    progress = f"job progress: {watched.done()} out of {len(slots)} complete"
    return f"{progress}, {running} out of {len(active)} active tasks run"


def _bar(slot: Slot, service: objects_pb2.Service) -> str:
    task = slot.task
    total = len(_STAGES)
    state = NEW if task is None else task.status.state
    stage = total if is_up(task, service) else sum(state >= each for each in _STAGES[:-1])
    filled = _BAR_WIDTH * stage // total
    bar = "=" * (filled - 1) + ">" + " " * (_BAR_WIDTH - filled)
    text = "" if task is None else shortened(task.status.error, ERROR_LENGTH)
    word = state_name(state).lower()
    return f"{slot.label}: {word:<9} [{bar}] {text}".rstrip()


def _verification(watched: Watched, stability: Stability, now: float) -> str:
    if stability.since is None:
        reasons = watched.reasons()
        return f"waiting: {reasons[0]}" if reasons else "waiting for the update"
    left = stability.remaining(now)
    return f"verify: {_CONVERGED}" if left == 0 else f"verify: stable for {left:.0f} more seconds"


class _Reason(NamedTuple):
    text: str
    is_error: bool


def _reason(task: objects_pb2.Task | None) -> _Reason:
    if task is None:
        return _Reason("not created yet", False)
    if task.status.error:
        return _Reason(shortened(task.status.error, ERROR_LENGTH), True)
    return _Reason(task.status.message or state_name(task.status.state).lower(), False)


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"
