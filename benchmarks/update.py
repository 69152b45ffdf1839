"""update_20: a rolling update to another image, one task at a time.

As `--update-parallelism 1 --update-delay 0s --update-monitor 0s --update-order stop-first`.
"""

import secrets
import time

from api.v1 import control_pb2, objects_pb2
from benchmarks.create import create
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, WEB, Selector, Swarm

TASKS = 20
RUNS = 5
COMPLETED = objects_pb2.UpdateStatus.STATE_COMPLETED


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure: to and fro between two images."""
    service, _ = await create(swarm, TASKS)
    taken = [await update(swarm, service.id, WEB[(run + 1) % 2]) for run in range(RUNS)]
    await swarm.until_gone(service.id)
    return {"update_20": Measured(taken)}


async def update(swarm: Swarm, service_id: str, image: str) -> float:
    """Seconds until all tasks run another image."""
    selector = Selector(kind=Selector.KIND_SERVICE, id=service_id)
    async with swarm.watch(selector) as events:
        service = await swarm.control.GetService(
            control_pb2.GetRequest(key=service_id), timeout=LIMIT
        )
        request = control_pb2.UpdateServiceRequest(
            key=service_id,
            spec=service.spec,
            version=service.meta.version,
            request_id=secrets.token_hex(8),
        )
        request.spec.task.container.image = image
        begun = time.perf_counter()
        updated = await swarm.control.UpdateService(request, timeout=LIMIT)
        async for event in events:
            present = event.object.service
            is_ours = present.spec_version == updated.spec_version
            if is_ours and present.update_status.state == COMPLETED:
                break
        return time.perf_counter() - begun
