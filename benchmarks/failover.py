"""failover_worker: a worker's link is cut and all of it killed, as a power failure would; how long
until as many tasks as before run on the other nodes.
"""

import asyncio
import time

from api.pieces import gathered
from api.v1 import control_pb2
from benchmarks.create import create
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Selector, Swarm, all_ready, nodes, until_running

TASKS = 6
RUNS = 5
WORKERS = 2
_SETTLE = 3.0


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure: the workers are lost in turns."""
    taken = [await _lose(swarm, f"w{run % WORKERS + 1}") for run in range(RUNS)]
    return {"failover_worker": Measured(taken)}


async def _lose(swarm: Swarm, name: str) -> float:
    service, _ = await create(swarm, TASKS)
    await asyncio.sleep(_SETTLE)  # heartbeats of all phases, no start that is still being reported
    victim = swarm.lab.host(name)
    victim_id = await _node_id(swarm, name)
    listing = control_pb2.ListTasksRequest(service_keys=[service.id])
    tasks = await swarm.tasks(listing)
    lost = sum(task.node_id == victim_id for task in tasks)
    assert lost > 0, f"no task runs on {name}"
    async with swarm.watch(Selector(kind=Selector.KIND_TASK, service_id=service.id)) as events:
        begun = time.perf_counter()
        await victim.kill()
        known = {task.id for task in tasks}
        await until_running(events, lost, where=lambda task: task.id not in known)
        taken = time.perf_counter() - begun
    await victim.start()
    await victim.start_daemon()
    await all_ready(swarm, len(nodes(swarm.lab)))
    await swarm.until_gone(service.id)
    return taken


async def _node_id(swarm: Swarm, name: str) -> str:
    request = control_pb2.ListNodesRequest(names=[name])
    pieces = swarm.control.ListNodes(request, timeout=LIMIT)
    answer = await gathered(pieces, into=control_pb2.ListNodesResponse())
    (node,) = answer.nodes
    return node.id
