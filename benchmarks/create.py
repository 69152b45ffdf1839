"""create_1 and create_10: from the call, over an open channel, until all tasks run.

The node is manager and worker and has the image.
"""

import time

from api.v1 import objects_pb2
from benchmarks.figure import Measured
from benchmarks.swarm import Selector, Swarm, until_running

RUNS = 7


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """Both figures; one run before them is not counted."""
    found: dict[str, Measured] = {}
    for name, replicas in (("create_1", 1), ("create_10", 10)):
        taken = []
        for _ in range(RUNS + 1):
            service, seconds = await create(swarm, replicas)
            await swarm.until_gone(service.id)
            taken.append(seconds)
        found[name] = Measured(taken[1:])
    return found


async def create(swarm: Swarm, replicas: int) -> tuple[objects_pb2.Service, float]:
    """A service whose tasks all run, and the seconds that took."""
    async with swarm.watch(Selector(kind=Selector.KIND_TASK)) as events:
        begun = time.perf_counter()
        service = await swarm.create(replicas)
        await until_running(events, replicas)
        return service, time.perf_counter() - begun
