"""Where each slot stands in a rollout: outdated, on trial, settled or failed. Pure."""

from enum import Enum
from typing import NamedTuple

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.restart import Scene
from manager.orchestrator.slots import Slot
from manager.orchestrator.tasks import ended_by_itself, is_as_made
from manager.orchestrator.trial import STEP_DEADLINE, monitor_of, step_deadline
from manager.state.swarm_clock import believed


class Progress(Enum):
    """How far a slot came in the rollout."""

    OUTDATED = "outdated"
    STRAYED = "strayed"  # a task of the present spec goes on in it, beside newer ones of another
    BUSY = "busy"  # its step is under way, or the delay after it
    WATCHED = "watched"  # its step is over, its task still on trial
    PASSED = "passed"  # the trial is over, and that is yet to be written down
    SETTLED = "settled"
    FAILED = "failed"


class Standing(NamedTuple):
    """A slot in the rollout: its task on trial, and when time alone changes its progress."""

    slot: Slot
    progress: Progress
    trial: objects_pb2.Task | None = None
    until: float | None = None


class Look:
    """How the slots of one service stand at a moment, by the config of its rollout."""

    def __init__(self, scene: Scene, config: specs_pb2.UpdateConfig) -> None:
        self._scene = scene
        self._config = config
        self._verdicts = {scene.service.spec_version: False}

    def turn_to(self, scene: Scene) -> None:
        """Goes on in another scene of the same service."""
        self._scene = scene

    def is_outdated(self, task: objects_pb2.Task) -> bool:
        """Whether the task was made from another spec; compared once per spec version."""
        verdict = self._verdicts.get(task.spec_version)
        if verdict is None:
            verdict = not is_as_made(task, self._scene.service.spec)
            self._verdicts[task.spec_version] = verdict
        return verdict

    def standing(self, slot: Slot) -> Standing:
        """Where a filled slot stands."""
        version = self._scene.service.spec_version
        if slot.newest.spec_version == version:
            present = [t for t in slot.tasks if t.spec_version == version]
            return self._trial_standing(slot, present)
        wanted = slot.wanted
        front = wanted[-1] if wanted else slot.newest
        if not self.is_outdated(front):
            return self._standing_of_earlier(slot, front)
        if any(not states.is_terminal(t) and not self.is_outdated(t) for t in wanted):
            return Standing(slot, Progress.STRAYED)
        return Standing(slot, Progress.OUTDATED)

    def _trial_standing(self, slot: Slot, present: list[objects_pb2.Task]) -> Standing:
        if not all(task.HasField("start_after") for task in present):
            return Standing(slot, Progress.SETTLED)
        trial = next((t for t in present if states.is_wanted(t) or ended_by_itself(t)), None)
        if trial is None:
            return Standing(slot, Progress.SETTLED)
        if ended_by_itself(trial):
            return Standing(slot, Progress.FAILED, trial)
        if trial.status.state == states.RUNNING:
            return self._running_standing(slot, trial)
        return self._waiting_standing(slot, trial, self._deadline(trial))

    def _standing_of_earlier(self, slot: Slot, task: objects_pb2.Task) -> Standing:
        """Of a slot whose task is of an earlier version, but of just this spec.

        What was not settled when this rollout began, as in one that was paused and goes on, is on
        trial from then on: the time that it had before counts as little as how it went, and a slot
        that was given up for its failures is tried again.
        """
        began = seconds_of(self._scene.service.update_status.started_at)
        is_later = seconds_of(task.meta.updated_at) > began
        if not task.HasField("start_after"):
            return Standing(slot, Progress.SETTLED)
        if ended_by_itself(task) and not is_later:
            if states.is_wanted(task):
                return Standing(slot, Progress.BUSY, task)  # a restart follows, and is on trial
            was_given_up = task.status.state != states.COMPLETE
            return Standing(slot, Progress.OUTDATED if was_given_up else Progress.SETTLED)
        if ended_by_itself(task):
            return Standing(slot, Progress.FAILED, task)
        if task.status.state < states.RUNNING:
            now = self._scene.now
            deadline = max(self._deadline(task), believed(began, now) + STEP_DEADLINE)
            return self._waiting_standing(slot, task, deadline)
        if task.status.state == states.RUNNING and is_later:
            return self._running_standing(slot, task)
        return Standing(slot, Progress.SETTLED)

    def _deadline(self, task: objects_pb2.Task) -> float:
        return step_deadline(task, self._scene.now, self._scene.waited_since)

    def _waiting_standing(self, slot: Slot, trial: objects_pb2.Task, deadline: float) -> Standing:
        if trial.desired_state < states.RUNNING:
            return Standing(slot, Progress.BUSY, trial)  # what it waits for comes to an end
        if self._scene.now >= deadline:
            return Standing(slot, Progress.FAILED, trial)
        return Standing(slot, Progress.BUSY, trial, deadline)

    def _running_standing(self, slot: Slot, trial: objects_pb2.Task) -> Standing:
        # The leader's clock: that of a worker may be off.
        since = believed(seconds_of(trial.meta.updated_at), self._scene.now)
        for progress, until in (
            (Progress.BUSY, since + seconds_of(self._config.delay)),
            (Progress.WATCHED, since + monitor_of(self._config)),
        ):
            if self._scene.now < until:
                return Standing(slot, progress, trial, until)
        return Standing(slot, Progress.PASSED, trial)
