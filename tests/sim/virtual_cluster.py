"""A whole control plane without clock, network or chance of its own: a store, the loops of one
leader, and agents that move their tasks along. The same chance gives the same history. After each
write the invariants of tests/sim/invariants.py are checked.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import TypeAlias

from api import states
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from manager.allocator.decide import AllocatorLoop
from manager.control.networks import gone_with
from manager.decision import Loop
from manager.dispatcher.rests import Rests
from manager.orchestrator.backoff import LONGEST_DELAY
from manager.orchestrator.reaper import ReaperLoop
from manager.orchestrator.services import ServicesLoop
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import Batch, Change, copy, create, delete, update
from tests.sim.addresses import AddressWatch
from tests.sim.invariants import Watchdog
from tests.support.builders import EPOCH, READY, cluster, network
from tests.support.sealed_store import SealedStore

TaskState: TypeAlias = types_pb2.TaskState.ValueType


class VirtualCluster:
    """The store, its leader's loops, and the hosts. `now` only moves by `pass_time`."""

    def __init__(self, random: Random, *, history_limit: int = 3) -> None:
        self.random = random
        self.store = SealedStore()
        self.now = EPOCH
        self.refusal_rate = 0.0
        self.crash_rate = 0.0
        self.reachable: set[str] = set()
        self._ids = 0
        self._watchdog = Watchdog(self.store)
        self.addresses = AddressWatch(self.store)
        self.loops = self.new_loops()
        self.write([create(cluster(history_limit))])
        self.write([create(network("ingress", ingress=True))])
        self.write([create(network("front", "10.0.9.0/28"))])

    def new_id(self) -> str:
        """The next id."""
        self._ids += 1
        return f"id{self._ids:06}"

    def pass_time(self, seconds: float) -> None:
        """Moves the clock."""
        self.now += seconds

    def change_leader(self) -> None:
        """Fresh loops, which know nothing but the store."""
        self.loops = self.new_loops()
        for loop in self.loops:
            loop.reset(self.store)

    def write(self, changes: Iterable[Change]) -> bool:
        """Applies the changes as one batch, as a client of the store would; whether it applied."""
        return self._apply([Batch(tuple(changes))]) == [None]

    def new_loops(self) -> list[Loop]:
        """One loop of each kind, which know nothing yet."""
        return [ServicesLoop(self.new_id), AllocatorLoop(), SchedulerLoop(), ReaperLoop()]

    def _apply(self, batches: list[Batch]) -> list[object]:
        applied = self.store.write(batches, self.now)
        for event in applied.events:
            self._watchdog.check(event, self.now)
            self.addresses.check(event)
            for loop in self.loops:
                if type(event.object) in loop.kinds:
                    loop.observe(event)
        return list(applied.results)

    # The managers.

    def run_loop(self, loop: Loop) -> int:
        """One decision, after which the agents get in before it is applied; batches decided."""
        decision = loop.decide(self.store, self.now)
        if self.refusal_rate and self.random.random() < self.refusal_rate:
            self.run_agents()
        self.propose(loop, decision.batches)
        return len(decision.batches)

    def propose(self, loop: Loop, batches: list[Batch]) -> None:
        """Applies what the loop decided, except where chance refuses it."""
        for each in batches:
            refused = self.random.random() < self.refusal_rate
            if refused or self._apply([each]) != [None]:
                loop.refused(each)

    def run_loops(self) -> int:
        """Each loop once, in some order; how much they decided."""
        loops = list(self.loops)
        self.random.shuffle(loops)
        return sum(self.run_loop(loop) for loop in loops)

    def come_to_rest(self, limit: int = 2000) -> None:
        """Lets time pass until nothing has moved for longer than any delay lasts."""
        quiet = 0
        for _ in range(limit):
            self.pass_time(1.0)
            busy = self.run_loops() + self.run_agents() + self.run_rests()
            quiet = 0 if busy else quiet + 1
            if quiet > LONGEST_DELAY:
                return
        raise AssertionError("the cluster never comes to rest")

    # The hosts.

    def node_changed(self, node_id: str, change: Callable[[objects_pb2.Node], None]) -> None:
        """Writes a changed copy of the node."""
        found = self.store.get(objects_pb2.Node, node_id)
        if found is not None:
            changed = copy(found)
            change(changed)
            self.write([update(changed)])

    def set_node_state(self, node_id: str, state: types_pb2.NodeState.ValueType) -> None:
        """What the dispatcher says of a node; only a ready one's agent reports."""
        (self.reachable.add if state == READY else self.reachable.discard)(node_id)
        self.node_changed(node_id, lambda node: setattr(node.status, "state", state))

    def remove_node(self, node_id: str) -> None:
        """As `node rm`."""
        found = self.store.get(objects_pb2.Node, node_id)
        if found is not None:
            self.reachable.discard(node_id)
            self.write([delete(found), *gone_with(self.store, found)])

    def run_rests(self) -> int:
        """All nodes confirm what there was a while ago; how many networks have room by that."""
        rests = Rests(lambda: self.store.version)
        rests.begin(self.store)
        past = self.store.version - self.random.choice([0, 0, 5, 50])
        batches = list(rests.batches(self.store, past))
        self._apply(batches)
        return len(batches)

    def run_agents(self) -> int:
        """Each reachable agent takes some of its tasks a step further; how many."""
        moved = 0
        for node_id in sorted(self.reachable):
            for task in self.store.tasks_of_node(node_id):
                if self.random.random() < 0.7:
                    moved += self._run_task(task)
        return moved

    def _run_task(self, task: objects_pb2.Task) -> bool:
        target = self._next_state(task)
        if target is None:
            return False
        moved = copy(task)
        moved.status.state = target
        moved.status.at.CopyFrom(timestamp(self.now))
        return self.write([update(moved)])

    def _next_state(self, task: objects_pb2.Task) -> TaskState | None:
        state = task.status.state
        if states.is_terminal(task) or state < states.ASSIGNED:
            return None
        if not states.is_wanted(task):
            return states.SHUTDOWN
        if self.random.random() < self.crash_rate or is_broken(task):
            early = state < states.STARTING
            return states.REJECTED if early else self._end_of_run(task)
        if state == states.READY and task.desired_state < states.RUNNING:
            return None
        if state == states.RUNNING and task.desired_state == states.COMPLETE:
            return states.COMPLETE if self.random.random() < 0.4 else None
        order = STEPS.index(state)
        return STEPS[order + 1] if order + 1 < len(STEPS) else None

    def _end_of_run(self, task: objects_pb2.Task) -> TaskState:
        done = self.random.random() < 0.3 and not is_broken(task)
        return states.COMPLETE if done else states.FAILED


STEPS: list[TaskState] = [
    states.ASSIGNED,
    states.ACCEPTED,
    states.PREPARING,
    states.READY,
    states.STARTING,
    states.RUNNING,
]


def is_broken(task: objects_pb2.Task) -> bool:
    """Whether the task's image never runs for long: it fails as soon as it starts."""
    starts = task.status.state >= states.STARTING
    return starts and task.spec.container.image.startswith("broken")
