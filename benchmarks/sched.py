"""The figures sched_*: how long the scheduler takes to place one-off tasks, commits included.

Each task is a group of its own, as SwarmKit's benchmark has it. Timed: every decide(), with the
reading of all nodes, applying its batches to a store, and showing the events to the loop. Needs no
lab.
"""

import time
from dataclasses import dataclass

from api import states
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from benchmarks.figure import Measured
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import Batch, batch, create
from manager.state.store import Store

NOW = 1_000_000.0
RACKS = 3
"""With constraints each task is bound to one of so many racks."""


@dataclass(frozen=True)
class Shape:
    """What is placed on what."""

    nodes: int
    tasks: int
    runs: int = 5  # to take the median of
    constraints: bool = False
    services: int = 0  # that the tasks are of; 0: each stands alone
    everything: bool = False  # constraints, a preference, CPU, memory and a generic resource


SHAPES = {
    "sched_1k": Shape(1_000, 1_000, 9),
    "sched_10k": Shape(1_000, 10_000),
    "sched_100k": Shape(1_000, 100_000),
    "sched_constraints": Shape(5_000, 100_000, constraints=True),
    "sched_services": Shape(1_000, 100_000, services=100),
    "sched_everything": Shape(1_000, 100_000, services=100, everything=True),
    "sched_wide_1k": Shape(100_000, 1_000),
    "sched_wide_100k": Shape(100_000, 100_000),
}


def filled(shape: Shape) -> tuple[Store, SchedulerLoop]:
    """A store of its nodes and tasks, and the scheduler that has seen them."""
    store, loop = Store(), SchedulerLoop()
    store.apply(1, timestamp(NOW), [batch(create(_node(n, shape))) for n in range(shape.nodes)])
    loop.reset(store)
    show(store, loop, [batch(create(_task(n, shape))) for n in range(shape.tasks)])
    return store, loop


def place_all(shape: Shape) -> tuple[float, float]:
    """Seconds in all, and the longest single decide()."""
    store, loop = filled(shape)
    longest = 0.0
    begun = time.perf_counter()
    more = True
    while more:
        step = time.perf_counter()
        decision = loop.decide(store, NOW)
        longest = max(longest, time.perf_counter() - step)
        show(store, loop, decision.batches)
        more = decision.more
    elapsed = time.perf_counter() - begun
    assert all(task.node_id for task in store.all(objects_pb2.Task))
    return elapsed, longest


def measure(name: str) -> Measured:
    """One of the figures; beside it the longest time that a decision held the event loop."""
    shape = SHAPES[name]
    taken = [place_all(shape) for _ in range(shape.runs)]
    longest = max(step for _, step in taken)
    return Measured([elapsed for elapsed, _ in taken], {"longest_step_ms": 1000 * longest})


def show(store: Store, loop: SchedulerLoop, batches: list[Batch]) -> None:
    """Applies what was decided."""
    for event in store.apply(store.version + 1, timestamp(NOW), batches).events:
        loop.observe(event)


def _node(number: int, shape: Shape) -> objects_pb2.Node:
    node = objects_pb2.Node(id=f"node-{number:06}")
    node.status.state = types_pb2.NODE_STATE_READY
    node.spec.annotations.labels["rack"] = f"r{number % RACKS}"
    node.description.resources.nano_cpus = 1 << 40
    node.description.resources.memory_bytes = 1 << 50
    if shape.everything:
        node.description.resources.generic.add(kind="apple", count=1 << 30)
    return node


def _task(number: int, shape: Shape) -> objects_pb2.Task:
    task = objects_pb2.Task(id=f"task-{number:06}", desired_state=states.RUNNING)
    task.spec.container.image = "docker.io/library/nginx:latest"
    task.spec.resources.reservations.memory_bytes = 1 << 20
    if shape.services:
        task.service_id, task.spec_version = f"service-{number % shape.services:03}", 1
        task.slot = number // shape.services + 1
    if shape.everything:
        task.spec.placement.spread.append("node.labels.rack")
        task.spec.resources.reservations.nano_cpus = 1 << 10
        task.spec.resources.reservations.generic.add(kind="apple", count=1)
    if shape.constraints or shape.everything:
        kind = number % shape.services if shape.services else number  # a service has one spec
        rack = f"node.labels.rack==r{kind % RACKS}"
        task.spec.placement.constraints.extend([rack, "node.role!=manager"])
    task.status.state = states.PENDING
    return task
