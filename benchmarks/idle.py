"""idle_rss: the memory of a node that is manager and worker and runs no task.

Each run is a fresh daemon, a few seconds after its start, as after a boot of the host. The PSS
stands beside: of pages that are shared with processes elsewhere it counts only a part.
"""

import asyncio
import statistics

from benchmarks import usage
from benchmarks.figure import Measured
from benchmarks.swarm import Swarm, all_ready

RUNS = 5
_SETTLE = 4.0


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure."""
    found = []
    for _ in range(RUNS):
        await swarm.manager.stop_daemon()
        await swarm.manager.start_daemon()
        await swarm.manager.wait_for_socket(swarm.manager.paths.swarm_socket)
        await all_ready(swarm, 1)
        await asyncio.sleep(_SETTLE)
        found.append(usage.memory(usage.product(swarm.manager)))
    rss, pss = zip(*found, strict=True)
    return {"idle_rss": Measured(rss, {"pss_mib": statistics.median(pss)})}
