"""The scheduler: gives each pending task a node, or says in the task why there is none.

A global service's task has its node already: it is confirmed there, or waits until that node fits.

A core: it keeps what it knows of nodes and waiting tasks from the events, and the versions that the
store checks at commit settle any race. A task whose node is lost after all is the orchestrator's.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from api.v1 import objects_pb2
from manager.decision import Decision
from manager.scheduler.candidates import Candidates
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Needs, Pipeline, succeeded_on
from manager.scheduler.reasons import Reasons
from manager.scheduler.spread import NoAnswer, rank
from manager.scheduler.step import ASSIGN, GIVE_UP, LOAD, LOOK, Step
from manager.scheduler.volumes import Given, Volumes
from manager.scheduler.waiting import Entry, Waiting, is_waiting
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

_NOTHING = Given([], [])


class SchedulerLoop:
    """Moves tasks from PENDING to ASSIGNED. Fulfils manager.decision.Loop.

    An assignment counts from the moment it is decided; `refused` takes it back.
    """

    name = "scheduler"
    kinds = (objects_pb2.Task, objects_pb2.Node, objects_pb2.Volume)
    debounce = 0.005

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._volumes = Volumes()
        self._pipeline = Pipeline(volumes=self._volumes)
        self._nodes = NodeSet()
        self._candidates = Candidates(self._nodes, self._pipeline)
        self._waiting = Waiting()
        self._reasons = Reasons(self._pipeline, self._nodes, self._waiting)
        # Decided, and not known to be applied yet; with the very tasks that were proposed.
        self._assigned: dict[str, objects_pb2.Task] = {}
        self._refused: dict[str, None] = {}
        self._later: list[Entry] = []  # in the next decision: their volume changes in this one
        self._changed_nodes: set[str] = set()  # where a stuck task may fit by now
        self._suspects: dict[Needs, set[str]] = {}  # of these nodes, those to be asked, by needs
        self._unread: Iterator[str] = iter(())  # ids of nodes, then of tasks
        self._is_read = True

    def reset(self, view: View) -> None:
        """Takes every task as unseen; `decide` then counts them and the nodes, some at a time."""
        self._forget()
        for volume in view.all(objects_pb2.Volume):
            self._volumes.put(volume.id, volume)
        nodes, tasks = list(view.all(objects_pb2.Node)), list(view.all(objects_pb2.Task))
        self._unread = chain((node.id for node in nodes), (task.id for task in tasks))
        self._is_read = False

    def observe(self, event: Event) -> bool:
        """Notes tasks that wait, and changes of nodes and volumes that could help them."""
        obj = event.object
        if isinstance(obj, objects_pb2.Node):
            if self._describe(obj.id, obj if event.new is not None else None):
                self._candidates.touch(obj.id, is_other=True)
                self._note_change([obj.id])
        elif isinstance(obj, objects_pb2.Task):
            self._see(obj.id, obj if event.new is not None else None)
            for volume in self._volumes.freed_by(obj):
                self._retry_wanting(volume)
        elif isinstance(obj, objects_pb2.Volume):
            self._see_volume(obj, is_gone=event.new is None)
        stuck_matter = bool(self._waiting.stuck) and self._reasons.are_outdated
        return bool(self._waiting) or stuck_matter

    def decide(self, view: View, now: float) -> Decision:
        """Assignments for the oldest waiting tasks; and once all were tried, reasons."""
        step = Step(view, now)
        self._volumes.begin_decision(view)
        self._read(step)
        if not self._is_read:
            return Decision(more=True)
        for task_id in self._refused:
            self._assigned.pop(task_id, None)
            self._waiting.discard(task_id)
            self._see(task_id, view.get(objects_pb2.Task, task_id))
        self._refused.clear()
        self._retry_stuck(step)
        # A turn as long as the nodes are many: to look at each costs less than a look per task.
        turn = len(self._nodes)
        while (count := step.left // ASSIGN) > 0 and (
            group := self._waiting.take_group(count, turn)
        ):
            self._place(group, step)
        self._waiting.put_back(self._later)
        self._later = []
        if not self._waiting and not self._suspects:
            self._reasons.say(step)
        more = bool(self._waiting or self._suspects) or self._reasons.are_due
        return Decision(step.batches, None if more else self._reasons.wake_at, more=more)

    def refused(self, batch: Batch) -> None:
        """Takes the assignment back and looks at the task again."""
        for change in batch.changes:
            if isinstance(change.object, objects_pb2.Task):
                self._refused[change.object.id] = None

    def _read(self, step: Step) -> None:
        while not self._is_read and step.left > 0:
            object_id = next(self._unread, "")
            # As it is now: events may have shown a later state than the reset saw.
            if (node := step.view.get(objects_pb2.Node, object_id)) is not None:
                self._describe(object_id, node)
            elif (task := step.view.get(objects_pb2.Task, object_id)) is not None:
                self._see(object_id, task)
            self._is_read = not object_id
            step.spend(LOAD)

    def _see(self, task_id: str, task: objects_pb2.Task | None) -> None:
        if task is not None and self._assigned.get(task_id) is task:
            del self._assigned[task_id]
            return  # it counts as it is since it was decided
        if task is not None and task.spec.HasField("attachment"):
            return  # a container's place in a network is no work for a node
        if task is not None and is_waiting(task):
            if task_id not in self._assigned:
                self._note_change(self._nodes.drop(task_id))
                self._waiting.add(task)
            return
        self._assigned.pop(task_id, None)
        self._waiting.discard(task_id)
        self._note_change(self._nodes.drop(task_id) if task is None else self._nodes.put(task))

    def _see_volume(self, volume: objects_pb2.Volume, *, is_gone: bool) -> None:
        self._volumes.put(volume.id, None if is_gone else volume)
        self._retry_wanting(volume)

    def _retry_wanting(self, volume: objects_pb2.Volume | None = None) -> None:
        """Those that want the volume, or any."""
        self._candidates.forget_wanting()
        for needs in [each for each in self._waiting.stuck if each.wants]:
            if volume is None or self._volumes.concern(needs.wants, volume):
                self._waiting.retry(needs)

    def _describe(self, node_id: str, node: objects_pb2.Node | None) -> bool:
        if self._volumes.describe(node_id, node):
            self._retry_wanting()
        return self._nodes.describe(node_id, node)

    def _note_change(self, node_ids: list[str]) -> None:
        for node_id in node_ids:
            self._candidates.touch(node_id)
            self._changed_nodes.add(node_id)
            self._reasons.are_outdated = True

    def _retry_stuck(self, step: Step) -> None:
        """Tries tasks again that fit nowhere, if a node that changed could take one of them."""
        for needs in self._waiting.stuck if self._changed_nodes else ():
            if not needs.node_id:
                self._suspects.setdefault(needs, set()).update(self._changed_nodes)
            elif needs.node_id in self._changed_nodes:
                self._suspects[needs] = {needs.node_id}
        self._changed_nodes.clear()
        while self._suspects and step.left > 0:
            needs, node_ids = self._suspects.popitem()
            if not self._reasons.turn_to(needs, step.view):
                continue
            while node_ids and step.left > 0:
                node = self._nodes.get(node_ids.pop())
                step.spend(LOOK)
                if node is not None and self._pipeline.passes_successor(node):
                    self._waiting.retry(needs)
                    node_ids.clear()
            if node_ids:
                self._suspects[needs] = node_ids

    def _place(self, group: list[Entry], step: Step) -> None:
        """Places tasks that are alike; puts those back for which there is no time left."""
        for position, entry in enumerate(group):
            task = step.view.get(objects_pb2.Task, entry.id)
            if task is None or not is_waiting(task):
                continue
            self._pipeline.turn_to(task, entry.needs)
            best = self._best(entry, task, step)
            if best is NoAnswer.NOT_YET:
                self._waiting.put_back(group[position:])
                return
            if isinstance(best, NodeInfo):
                self._give(task, entry, best, step)
            else:
                self._waiting.give_up(entry)
                step.spend(GIVE_UP)

    def _best(self, entry: Entry, task: objects_pb2.Task, step: Step) -> NodeInfo | NoAnswer | None:
        if entry.needs.node_id:
            own = self._nodes.get(entry.needs.node_id)
            if own is None or not self._pipeline.accepts(own, succeeds=True):
                return None
            return own
        best: NodeInfo | NoAnswer | None = None
        self._candidates.served = None
        places = self._volumes.places(entry.needs.wants) if entry.needs.wants else None
        if places is not None:
            return self._among(places, task, entry, step)
        if entry.needs not in self._waiting.stuck:
            best = self._candidates.best(entry, step)
        if entry.needs.per_node is None or isinstance(best, NoAnswer):
            return best
        choice = [best] if best is not None else []
        choice += self._places_of_predecessors(task, entry, step.view)
        return min(choice, key=lambda n: (rank(n, entry.group, step.now), n.id), default=None)

    def _among(
        self, places: Iterable[str], task: objects_pb2.Task, entry: Entry, step: Step
    ) -> NodeInfo | None:
        """The best of the few nodes to which its volumes bind a task."""
        succeeded = succeeded_on(task, entry.needs, step.view)
        found = [node for node in map(self._nodes.get, places) if node is not None]
        step.spend(len(found) * LOOK)
        fitting = [n for n in found if self._pipeline.accepts(n, succeeds=n.id in succeeded)]
        return min(fitting, key=lambda n: (rank(n, entry.group, step.now), n.id), default=None)

    def _places_of_predecessors(
        self, task: objects_pb2.Task, entry: Entry, view: View
    ) -> Iterator[NodeInfo]:
        """The nodes on which there is room because the task replaces another there."""
        for node_id in succeeded_on(task, entry.needs, view):
            node = self._nodes.get(node_id)
            if node is not None and self._pipeline.accepts(node, succeeds=True):
                yield node

    def _give(self, task: objects_pb2.Task, entry: Entry, node: NodeInfo, step: Step) -> None:
        """Assigns the task, with its volumes in the same change of the state."""
        wants = entry.needs.wants
        if not wants:
            self._assign(task, entry, node, step, _NOTHING)
            return
        given = None
        if self._volumes.passes(wants, node.node):
            given = self._volumes.give(task, wants, node.node, step.view)
        else:
            self._candidates.forget_wanting()
        if given is None:
            self._later.append(entry)
        else:
            self._assign(task, entry, node, step, given)

    def _assign(
        self, task: objects_pb2.Task, entry: Entry, node: NodeInfo, step: Step, given: Given
    ) -> None:
        # Each task comes through here, and few have more than a name and a reservation.
        needs = entry.needs
        assigned = copy(task)
        if given.attachments:
            assigned.volumes.extend(given.attachments)
        assigned.node_id = node.id
        for kind, count in needs.generic:
            assigned.assigned_generic.append(node.claim_generic(kind, count))
        assigned.status.CopyFrom(step.confirmed if needs.node_id else step.assigned)
        order = None if needs.node_id else self._candidates.served
        step.recorder.write(assigned, entry, node, order, self._pipeline)
        holds_more = bool(needs.generic or needs.ports)
        self._nodes.give(assigned, node, needs.reserved, holds_more=holds_more)
        self._candidates.touch(node.id)
        self._assigned[task.id] = assigned
        self._reasons.are_outdated = True
        changes = [update(each) for each in given.changed] if given.changed else ()
        step.batches.append(batch(*changes, update(assigned)))
        step.spend(ASSIGN)
