"""volume_failover: the node that holds a single-writer volume is cut off, and runs on; how long
until a task on another node has what the first one acknowledged, and writes.

The volume is a folder that the manager's host gives by SSH; its lease is 10 s. What was
acknowledged is checked after each run: two writers, or a lost record, fail it.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from api.pieces import gathered
from api.v1 import control_pb2, specs_pb2
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Swarm, all_ready, nodes
from tests.support import records
from tests.support.lab_storage import LabStorage, started_storage

RUNS = 5
WORKERS = 2
LEASE = 10
STORAGE = "m1"
IMAGE = "registry:5000/demo/tools:1"
_SETTLE = 5.0
_STEP = 0.02


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure: whichever worker holds the volume is cut off."""
    storage = await started_storage(swarm.lab.host(STORAGE))
    taken = [await _cut_off(swarm, storage, run) for run in range(RUNS)]
    return {"volume_failover": Measured(taken)}


async def _cut_off(swarm: Swarm, storage: LabStorage, run: int) -> float:
    name = f"data{run}"
    log, acks = storage.fresh(name) / "log", storage.fresh("acks")
    volume = control_pb2.CreateVolumeRequest(spec=_volume(storage, name), request_id=_id())
    await swarm.control.CreateVolume(volume, timeout=LIMIT)
    request = control_pb2.CreateServiceRequest(spec=_service(name, acks), request_id=_id())
    service = await swarm.control.CreateService(request, timeout=LIMIT)
    await _until(lambda: bool(records.acks(acks)))
    await asyncio.sleep(_SETTLE)  # heartbeats of all phases
    first = records.acks(acks)[-1].writer
    holder = swarm.lab.host(await _host_of(swarm, first))
    begun = time.perf_counter()
    await holder.cut()
    await _until(lambda: any(ack.writer != first for ack in records.acks(acks)))
    taken = time.perf_counter() - begun
    await holder.heal()
    await all_ready(swarm, len(nodes(swarm.lab)))
    await swarm.until_gone(service.id)
    records.check(log, acks)
    return taken


def _volume(storage: LabStorage, name: str) -> specs_pb2.VolumeSpec:
    spec = specs_pb2.VolumeSpec(driver="sshfs", driver_options=storage.options(name))
    spec.annotations.name = name
    spec.lease_term.seconds = LEASE
    return spec


def _service(name: str, acks: Path) -> specs_pb2.ServiceSpec:
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = f"db-{name}"
    spec.replicated.replicas = 1
    spec.task.placement.constraints.append("node.role==worker")
    container = spec.task.container
    container.image = IMAGE
    container.hostname = "{{.Task.ID}}"
    container.args.extend(["sh", "-c", records.WRITER])
    mount = specs_pb2.Mount
    container.mounts.add(type=mount.TYPE_CLUSTER, source=name, target="/data")
    container.mounts.add(type=mount.TYPE_BIND, source=str(acks), target="/acks")
    return spec


async def _host_of(swarm: Swarm, task_id: str) -> str:
    tasks = await swarm.tasks(control_pb2.ListTasksRequest())
    node_id = next(task.node_id for task in tasks if task.id == task_id)
    pieces = swarm.control.ListNodes(control_pb2.ListNodesRequest(), timeout=LIMIT)
    found = await gathered(pieces, into=control_pb2.ListNodesResponse())
    return next(node.description.hostname for node in found.nodes if node.id == node_id)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110 - it is the kernel that knows
            await asyncio.sleep(_STEP)


def _id() -> str:
    return secrets.token_hex(8)
