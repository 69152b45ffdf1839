"""The scheduler: gives each pending task a node, or says in the task why there is none.

A global service's task has its node already: it is confirmed there, or waits until that node fits.

A core: it keeps what it knows of nodes and waiting tasks from the events, and the versions that the
store checks at commit settle any race. A task whose node is lost after all is the orchestrator's.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from api import states
from api.times import timestamp
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Needs, Pipeline
from manager.scheduler.spread import GroupRanking, LeastLoaded
from manager.scheduler.waiting import Entry, Waiting, is_waiting
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

MAX_TASKS = 300
"""Tasks per decision, so that a step stays under 20 ms."""


class SchedulerLoop:
    """Moves tasks from PENDING to ASSIGNED. Fulfils manager.decision.Loop.

    An assignment counts from the moment it is decided; `refused` takes it back.
    """

    name = "scheduler"
    kinds = (objects_pb2.Task, objects_pb2.Node)
    debounce = 0.005

    def __init__(self) -> None:
        self._pipeline = Pipeline()
        self._forget()

    def _forget(self) -> None:
        self._nodes = NodeSet()
        self._by_load = LeastLoaded(self._nodes)
        self._waiting = Waiting()
        self._assigned: set[str] = set()  # decided, and not known to be applied yet
        self._refused: dict[str, None] = {}
        self._changed_nodes: set[str] = set()  # where a stuck task may fit by now
        self._reasons_changed = False

    def reset(self, view: View) -> None:
        """Counts every task and node anew, and takes every waiting task as untried."""
        self._forget()
        for node in view.all(objects_pb2.Node):
            self._nodes.describe(node.id, node)
        for task in view.all(objects_pb2.Task):
            self._nodes.put(task)
            if is_waiting(task):
                self._waiting.add(task)
        self._by_load = LeastLoaded(self._nodes)

    def observe(self, event: Event) -> bool:
        """Notes tasks that wait, and changes of nodes that could help them."""
        obj = event.object
        if isinstance(obj, objects_pb2.Node):
            if self._nodes.describe(obj.id, obj if event.new is not None else None):
                self._note_change([obj.id])
        elif isinstance(obj, objects_pb2.Task):
            self._see(obj.id, obj if event.new is not None else None)
        return bool(self._waiting) or (self._reasons_changed and bool(self._waiting.stuck))

    def decide(self, view: View, now: float) -> Decision:
        """Assignments for the oldest waiting tasks; and once all were tried, reasons."""
        for task_id in self._refused:
            self._assigned.discard(task_id)
            self._waiting.discard(task_id)
            self._see(task_id, view.get(objects_pb2.Task, task_id))
        self._refused.clear()
        self._retry_stuck(view)
        step = _Step(view, now)
        while step.left > 0 and (group := self._waiting.take_group(step.left)):
            step.left -= len(group)
            self._place(group, step)
        if not self._waiting and step.left > 0:
            self._say_why(step)
        unsaid = any(stuck.unsaid for stuck in self._waiting.stuck.values())
        return Decision(step.batches, more=bool(self._waiting) or unsaid or self._reasons_changed)

    def refused(self, batch: Batch) -> None:
        """Takes the assignment back and looks at the task again."""
        for change in batch.changes:
            self._refused[change.object.id] = None

    def _see(self, task_id: str, task: objects_pb2.Task | None) -> None:
        if task is not None and is_waiting(task):
            if task_id not in self._assigned:
                self._note_change(self._nodes.drop(task_id))
                self._waiting.add(task)
            return
        self._assigned.discard(task_id)
        self._waiting.discard(task_id)
        self._note_change(self._nodes.drop(task_id) if task is None else self._nodes.put(task))

    def _note_change(self, node_ids: list[str]) -> None:
        for node_id in node_ids:
            self._by_load.touch(node_id)
            self._changed_nodes.add(node_id)
            self._reasons_changed = True

    def _retry_stuck(self, view: View) -> None:
        changed = [node for node in map(self._nodes.get, self._changed_nodes) if node is not None]
        self._changed_nodes.clear()
        for needs, stuck in list(self._waiting.stuck.items()) if changed else ():
            nodes = [n for n in changed if stuck.node_id in ("", n.id)]
            if nodes and self._turn_to(needs, view) and any(map(self._pipeline.passes, nodes)):
                self._waiting.retry(needs)

    def _turn_to(self, needs: Needs, view: View) -> bool:
        for task_id in self._waiting.stuck[needs].entries:
            task = view.get(objects_pb2.Task, task_id)
            if task is not None:
                self._pipeline.turn_to(task)
                return True
        return False

    def _candidates(self, node_id: str) -> list[NodeInfo]:
        """The nodes that come into question: all, or the one that the task has already."""
        if not node_id:
            return self._nodes.all()
        own = self._nodes.get(node_id)
        return [] if own is None else [own]

    def _place(self, group: list[Entry], step: "_Step") -> None:
        if group[0].needs in self._waiting.stuck:
            for entry in group:
                self._waiting.give_up(entry)
            return
        ranking: GroupRanking | None = None
        for entry in group:
            task = step.view.get(objects_pb2.Task, entry.id)
            if task is None or not is_waiting(task):
                continue
            if ranking is None:
                self._pipeline.turn_to(task)
                if len(group) > 1:
                    ranking = GroupRanking(
                        self._nodes, entry.group, self._pipeline.passes, step.now
                    )
            if entry.node_id:
                node = next(filter(self._pipeline.passes, self._candidates(entry.node_id)), None)
            elif ranking is None:
                node = self._by_load.best(entry.group, self._pipeline.passes, step.now)
            else:
                node = ranking.best()
            if node is None:
                self._waiting.give_up(entry)
            else:
                self._assign(task, node, step)

    def _assign(self, task: objects_pb2.Task, node: NodeInfo, step: "_Step") -> None:
        assigned = copy(task)
        confirms = task.node_id == node.id
        assigned.node_id = node.id
        status = assigned.status
        status.state = states.ASSIGNED
        status.at.CopyFrom(step.at)
        status.message = (
            "scheduler confirmed task can run on preassigned node"
            if confirms
            else "scheduler assigned task to node"
        )
        status.error = ""
        self._nodes.put(assigned)
        self._by_load.touch(node.id)
        self._assigned.add(task.id)
        self._reasons_changed = True
        step.batches.append(batch(update(assigned)))

    def _say_why(self, step: "_Step") -> None:
        for needs, stuck in self._waiting.stuck.items():
            if (self._reasons_changed or not stuck.text) and self._turn_to(needs, step.view):
                text = self._pipeline.explain(self._candidates(stuck.node_id))
                if text != stuck.text:
                    stuck.text = text
                    stuck.unsaid = dict.fromkeys(stuck.entries)
            while stuck.unsaid and step.left > 0:
                task_id = next(iter(stuck.unsaid))
                del stuck.unsaid[task_id]
                step.left -= 1
                step.explain(task_id, stuck.text)
        self._reasons_changed = False


class _Step:
    """What one decision has come to so far."""

    def __init__(self, view: View, now: float) -> None:
        self.view = view
        self.now = now
        self.at: Timestamp = timestamp(now)
        self.left = MAX_TASKS
        self.batches: list[Batch] = []

    def explain(self, task_id: str, text: str) -> None:
        """Writes `text` into the task, unless it says so already."""
        task = self.view.get(objects_pb2.Task, task_id)
        if task is None or not is_waiting(task) or task.status.error == text:
            return
        explained = copy(task)
        explained.status.error = text
        explained.status.at.CopyFrom(self.at)
        self.batches.append(batch(update(explained)))
