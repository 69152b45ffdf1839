"""failover_clean: the leader's daemon is stopped in order, while somebody creates services through
another manager: the longest time between two that succeeded.

No call may fail.
"""

import asyncio
import itertools
import time

from benchmarks.figure import Measured
from benchmarks.managers import all_there, control_of, leader, managers
from benchmarks.swarm import LIMIT, Swarm
from benchmarks.writes import request

RUNS = 10
_BEFORE = 0.5
_AFTER = 3.0


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure; beside it how many services were made in all."""
    gaps, made = [], 0
    for _ in range(RUNS):
        times = await _stop(swarm)
        made += len(times)
        gaps.append(max(after - before for before, after in itertools.pairwise(times)))
    return {"failover_clean": Measured(gaps, {"writes": made})}


async def _stop(swarm: Swarm) -> list[float]:
    """When each service was made."""
    await all_there(swarm)
    victim = await leader(swarm)
    other = next(host for host in managers(swarm) if host.name != victim.name)
    times: list[float] = []
    stopping = asyncio.Event()

    async def write() -> None:
        async with control_of(other) as control:
            while not stopping.is_set():
                await control.CreateService(request(), timeout=LIMIT)
                times.append(time.perf_counter())

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await asyncio.sleep(_BEFORE)
        await victim.stop_daemon()
        await asyncio.sleep(_AFTER)
        stopping.set()
    await victim.start_daemon()
    await victim.wait_for_socket(victim.paths.swarm_socket)
    return times
