"""sched_1k, sched_10k and sched_100k: how long the scheduler takes to place one-off tasks on 1000
nodes, commits included.

Each task is a group of its own, as SwarmKit's benchmark has it. Timed: every decide(), applying its
batches to a store, and showing the events to the loop. Needs no lab.
"""

import time

from api import states
from api.times import timestamp
from api.v1 import objects_pb2, types_pb2
from benchmarks.figure import Measured
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import Batch, batch, create
from manager.state.store import Store

NODES = 1000
SIZES = {"sched_1k": (1_000, 9), "sched_10k": (10_000, 5), "sched_100k": (100_000, 5)}
"""Tasks, and runs to take the median of."""
NOW = 1_000_000.0


def cluster(tasks: int) -> Store:
    """A store with the nodes and so many pending tasks."""
    store = Store()
    batches: list[Batch] = []
    for number in range(NODES):
        node = objects_pb2.Node(id=f"node-{number:04}")
        node.status.state = types_pb2.NODE_STATE_READY
        node.description.resources.nano_cpus = 1 << 40
        node.description.resources.memory_bytes = 1 << 50
        batches.append(batch(create(node)))
    for number in range(tasks):
        task = objects_pb2.Task(id=f"task-{number:06}", desired_state=states.RUNNING)
        task.spec.container.image = "docker.io/library/nginx:latest"
        task.spec.resources.reservations.memory_bytes = 1 << 20
        task.status.state = states.PENDING
        batches.append(batch(create(task)))
    store.apply(1, timestamp(NOW), batches)
    return store


def place_all(tasks: int) -> tuple[float, float]:
    """Seconds in all, and the longest single decide()."""
    store = cluster(tasks)
    loop = SchedulerLoop()
    loop.reset(store)
    longest = 0.0
    begun = time.perf_counter()
    more = True
    while more:
        step = time.perf_counter()
        decision = loop.decide(store, NOW)
        longest = max(longest, time.perf_counter() - step)
        applied = store.apply(store.version + 1, timestamp(NOW), decision.batches)
        for event in applied.events:
            loop.observe(event)
        more = decision.more
    elapsed = time.perf_counter() - begun
    assert all(task.node_id for task in store.all(objects_pb2.Task))
    return elapsed, longest


def measure(name: str) -> Measured:
    """One of the figures; beside it the longest time that a decision held the event loop."""
    tasks, runs = SIZES[name]
    taken = [place_all(tasks) for _ in range(runs)]
    longest = max(step for _, step in taken)
    return Measured([elapsed for elapsed, _ in taken], {"longest_step_ms": 1000 * longest})
