"""failover_leader: the leader's link is cut and all of it killed, as a power failure would; how
long until a service can be created again.

The call is made at another manager, at the moment of the loss, and waits there for a leader.
"""

import time

from api.v1 import control_pb2
from benchmarks.figure import Measured
from benchmarks.managers import all_there, control_of, leader, managers
from benchmarks.swarm import LIMIT, Swarm
from benchmarks.writes import request

RUNS = 10


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure: whoever leads is lost."""
    return {"failover_leader": Measured([await _lose(swarm) for _ in range(RUNS)])}


async def _lose(swarm: Swarm) -> float:
    await all_there(swarm)
    victim = await leader(swarm)
    other = next(host for host in managers(swarm) if host.name != victim.name)
    async with control_of(other) as control:
        await control.GetCluster(control_pb2.GetClusterRequest(), timeout=LIMIT)  # it is open
        begun = time.perf_counter()
        await victim.kill()
        service = await control.CreateService(request(), timeout=LIMIT)
        taken = time.perf_counter() - begun
        removal = control_pb2.RemoveRequest(key=service.id, request_id=request().request_id)
        await control.RemoveService(removal, timeout=LIMIT)
    await victim.start()
    await victim.start_daemon()
    await victim.wait_for_socket(victim.paths.swarm_socket)
    return taken
