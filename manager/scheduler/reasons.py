"""Writes into each task that fits nowhere why it waits; again when the reason has changed.

Tasks with the same needs share the reason. Nodes are asked a few at a time. Where only details have
changed, a reason that was just written stands for a while: many tasks may have it, and a number in
it may change all the time.
"""

import re

from api.times import seconds_of
from api.v1 import objects_pb2
from manager.scheduler.nodes import NodeSet
from manager.scheduler.pipeline import Needs, Pipeline, Tally
from manager.scheduler.step import EXPLAIN, LOOK, Step
from manager.scheduler.waiting import Waiting, is_waiting
from manager.state.changes import batch, copy, update
from manager.state.store import View
from manager.state.swarm_clock import believed

STANDS = 10.0
"""Seconds for which details may be out of date."""
_DETAILS = re.compile(r": [^;)]*")
"""What filters say after the number of nodes: how much is needed, and how much there is."""


class Reasons:
    """What is yet to be found out about stuck tasks, and what is yet to be written."""

    def __init__(self, pipeline: Pipeline, nodes: NodeSet, waiting: Waiting) -> None:
        self._pipeline = pipeline
        self._nodes = nodes
        self._waiting = waiting
        self._open: dict[Needs, None] = {}
        self._present: tuple[Needs, Tally] | None = None
        self._later: dict[Needs, float] = {}
        self.are_outdated = False
        """Whether something has changed by which reasons may be others now."""

    @property
    def are_due(self) -> bool:
        """Whether `say` has more to do at once."""
        stuck = self._waiting.stuck.values()
        looking = bool(self._open) or self._present is not None or self.are_outdated
        return bool(stuck) and (looking or any(each.unsaid for each in stuck))

    @property
    def wake_at(self) -> float | None:
        """When details are to be written that have changed."""
        return min(self._later.values(), default=None)

    def turn_to(self, needs: Needs, view: View) -> bool:
        """Turns the pipeline to a stuck task with these needs; False if there is none any more."""
        stuck = self._waiting.stuck.get(needs)
        for task_id in stuck.entries if stuck is not None else ():
            task = view.get(objects_pb2.Task, task_id)
            if task is not None:
                self._pipeline.turn_to(task, needs)
                return True
        return False

    def say(self, step: Step) -> None:
        """Finds out and writes as much as there is time for."""
        self._gather(step.now)
        while step.left > 0 and (self._present is not None or self._open):
            self._look(step)
        for needs, stuck in self._waiting.stuck.items():
            while stuck.unsaid and stuck.text and step.left > 0:
                task_id, _ = stuck.unsaid.popitem()
                self._write(needs, task_id, stuck.text, step)

    def _gather(self, now: float) -> None:
        stuck = self._waiting.stuck
        if self.are_outdated:
            self._open |= dict.fromkeys(stuck)
        else:
            self._open |= dict.fromkeys(n for n, each in stuck.items() if not each.text)
        self.are_outdated = False
        for needs in [needs for needs, at in self._later.items() if at <= now]:
            del self._later[needs]
            if needs in stuck:
                stuck[needs].unsaid = dict.fromkeys(stuck[needs].entries)

    def _look(self, step: Step) -> None:
        if self._present is None:
            needs = next(iter(self._open))
            del self._open[needs]
            self._present = (needs, Tally(self._nodes.in_question(needs.node_id)))
        needs, tally = self._present
        if not self.turn_to(needs, step.view):
            self._present = None
            return
        step.spend(tally.go_on(self._pipeline, step.left))
        if not len(tally):
            self._present = None
            text, stuck = tally.reason(self._pipeline), self._waiting.stuck[needs]
            if text != stuck.text:
                stuck.text = text
                stuck.unsaid = dict.fromkeys(stuck.entries)

    def _write(self, needs: Needs, task_id: str, text: str, step: Step) -> None:
        """Writes the reason into the task, unless it is there already, or nearly."""
        step.spend(LOOK)
        task = step.view.get(objects_pb2.Task, task_id)
        if task is None or not is_waiting(task) or task.status.error == text:
            return
        stands_until = believed(seconds_of(task.status.at), step.now) + STANDS
        if step.now < stands_until and without_details(task.status.error) == without_details(text):
            self._later[needs] = min(stands_until, self._later.get(needs, stands_until))
            return
        step.spend(EXPLAIN)
        explained = copy(task)
        explained.status.error = text
        explained.status.at.CopyFrom(step.at)
        step.batches.append(batch(update(explained)))


def without_details(text: str) -> str:
    """A reason without its numbers, which differ by the moment when it was written."""
    return _DETAILS.sub("", text)
