"""create_100, cpu_per_start, pss_per_task and rm_100: a hundred tasks come, run and go.

One round gives one run of each figure. The CPU is that of the host's whole control group: daemon,
conmon, the runtime, and what the tasks themselves do to start.
"""

import time

from benchmarks import usage
from benchmarks.create import create
from benchmarks.figure import Measured
from benchmarks.swarm import Swarm

TASKS = 100
RUNS = 5


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """All four; a round before them is not counted."""
    await _round(swarm)
    rounds = [await _round(swarm) for _ in range(RUNS)]
    names = ("create_100", "cpu_per_start", "pss_per_task", "rm_100")
    return {
        name: Measured(values)
        for name, values in zip(names, zip(*rounds, strict=True), strict=True)
    }


async def _round(swarm: Swarm) -> tuple[float, float, float, float]:
    before = usage.cpu_seconds(swarm.manager)
    service, taken = await create(swarm, TASKS)
    cpu = usage.cpu_seconds(swarm.manager) - before
    _, pss = usage.memory(usage.monitors(swarm.manager))
    begun = time.perf_counter()
    await swarm.until_gone(service.id)
    return taken, cpu / TASKS, pss / TASKS, time.perf_counter() - begun
