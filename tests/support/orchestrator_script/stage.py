"""A store, the replicated orchestrator, and hosts that do what the images of their tasks say; every
change is written down. Time moves only where a script moves it.

With `forgetful`, the loop is replaced by a fresh one, which knows the store alone, after every
single batch that was applied, as if each was followed by a change of leader.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from api import states
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from manager.orchestrator.services import ServicesLoop
from manager.state.changes import Batch, Change, Event, copy, update
from tests.sim.invariants import Watchdog
from tests.support.builders import ACTIVE, EPOCH, READY
from tests.support.orchestrator_script.hosts import next_state
from tests.support.orchestrator_script.words import Words
from tests.support.sealed_store import SealedStore

_ENDLESS = 500  # rounds after which a service that does not settle is called broken


class Stage:
    """The cluster of one scenario, and the transcript of the block under way."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.store = SealedStore()
        self.now = EPOCH
        self._forgetful = forgetful
        self._watchdog = Watchdog(self.store)
        self._ids = 0
        self._words = Words(self.store)
        self._wake_at: float | None = None
        self._lines: list[str] = []
        self.new_leader()

    def transcript(self) -> list[str]:
        """What was said since the last call."""
        lines, self._lines = self._lines, []
        return lines or ["ok"]

    def say(self, line: str) -> None:
        self._lines.append(line)

    def show(self, service: objects_pb2.Service) -> None:
        """How the service and its slots stand."""
        self._lines += self._words.picture(service)

    def new_leader(self) -> None:
        """Another loop, which knows nothing but the store."""
        self._loop = ServicesLoop(self._new_id)
        self._loop.reset(self.store)

    def _new_id(self) -> str:
        self._ids += 1
        return f"t{self._ids}"

    def service(self, name: str) -> objects_pb2.Service:
        found = self.store.named(objects_pb2.Service, name)
        assert found is not None, f"no service {name}"
        return found

    def task(self, name: str) -> objects_pb2.Task:
        """The task that the transcript calls by this name: web.1#2; web.1 is the newest there."""
        return self._words.task(name)

    def write(self, change: Change) -> None:
        """What somebody other than the loop changes."""
        self._apply(Batch((change,)))

    def settle(self) -> None:
        """The loop and the hosts work until nothing moves. No time passes."""
        for _ in range(_ENDLESS):
            moved = self._decide()
            for task in list(self.store.all(objects_pb2.Task)):
                moved |= self._work_on(task)
            if not moved:
                return
        raise AssertionError("the services never settle")

    def run(self, seconds: float) -> None:
        """Lets time pass, and settles whenever something is due."""
        until = self.now + seconds
        self.settle()
        while self._wake_at is not None and self._wake_at <= until:
            self.now = max(self.now, self._wake_at)
            self.settle()
        self.now = until
        self.settle()

    def _decide(self) -> bool:
        """Decides and applies for as long as there is something to decide; whether there was."""
        moved = False
        for batches in islice(self._decisions(), _ENDLESS):
            for each in batches[:1] if self._forgetful else batches:
                self._apply(each)
                moved = True
                if self._forgetful:
                    self.new_leader()
        return moved

    def _decisions(self) -> Iterator[list[Batch]]:
        while True:
            decision = self._loop.decide(self.store, self.now)
            self._wake_at = decision.wake_at
            if not decision.batches and not decision.more:
                return
            yield decision.batches

    def _apply(self, each: Batch) -> None:
        applied = self.store.write([each], self.now)
        assert not any(applied.results), applied.results
        for event in applied.events:
            self._watchdog.check(event, self.now)
            self._tell(event)
            if type(event.object) in self._loop.kinds:
                self._loop.observe(event)

    def _tell(self, event: Event) -> None:
        for line in self._words.of(event):
            self.say(f"{self.now - EPOCH:5g}  {line}")

    def _work_on(self, task: objects_pb2.Task) -> bool:
        """The scheduler or an agent takes the task one step further; whether it did."""
        if not task.node_id and states.is_live(task) and not _is_stuck(task):
            node_id = self._free_node()
            if node_id:
                self.change(task, _assigned(node_id))
            return bool(node_id)
        node = self.store.get(objects_pb2.Node, task.node_id)
        state = None if node is None or node.status.state != READY else next_state(task)
        if state is not None:
            self.change(task, _moved(state, self.now))
        return state is not None

    def change(self, task: objects_pb2.Task, edit: Callable[[objects_pb2.Task], None]) -> None:
        changed = copy(task)
        edit(changed)
        self.write(update(changed))

    def _free_node(self) -> str:
        """The node that may take a task and has the fewest."""
        loads = {
            node.id: sum(states.is_live(task) for task in self.store.tasks_of_node(node.id))
            for node in self.store.all(objects_pb2.Node)
            if node.status.state == READY and node.spec.availability == ACTIVE
        }
        return min(loads, key=lambda node_id: (loads[node_id], node_id), default="")


def _is_stuck(task: objects_pb2.Task) -> bool:
    return task.spec.container.image.startswith("stuck")


def _assigned(node_id: str) -> Callable[[objects_pb2.Task], None]:
    def edit(task: objects_pb2.Task) -> None:
        task.node_id = node_id
        task.status.state = states.ASSIGNED

    return edit


def _moved(state: types_pb2.TaskState.ValueType, now: float) -> Callable[[objects_pb2.Task], None]:
    def edit(task: objects_pb2.Task) -> None:
        task.status.state = state
        task.status.at.CopyFrom(timestamp(now))

    return edit
