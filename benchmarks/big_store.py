"""raft_store_100k: how long a manager whose store holds 100,000 tasks takes from its start to its
first answer.

Beside it: the memory of its daemon then, its newest snapshot on disk, how long the tasks took to
come, and how long a fresh manager takes from its promotion to its vote, the store included. The
tasks wait for a larger node than there is, so that nothing but the managers has work with them.
"""

import asyncio
import secrets
import statistics
import time

import grpc

from api.v1 import control_pb2, types_pb2
from benchmarks import usage
from benchmarks.figure import Measured
from benchmarks.managers import seen_by
from benchmarks.swarm import Swarm, web_spec

TASKS = 100_000
RUNS = 5
JOINS = 3
CPUS = 10_000
MANY_ENTRIES = 100  # before them it is only quiet because nothing has begun
_LIMIT = 900.0
_STEP = 0.25
_PATIENCE = 10.0
_MIB = 1 << 20


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure; the store is left as it is."""
    await _snapshots_often(swarm)
    filled = await _fill(swarm)
    starts = [await _start(swarm) for _ in range(RUNS)]
    rss, _ = usage.memory(usage.product(swarm.manager))
    joins = [await _join(swarm) for _ in range(JOINS)]
    beside = {
        "rss_mib": rss,
        "snapshot_mib": _snapshot(swarm),
        "fill_s": filled,
        "join_s": statistics.median(joins),
    }
    return {"raft_store_100k": Measured(starts, beside)}


async def _snapshots_often(swarm: Swarm) -> None:
    """So that a start, and a fresh manager, read a snapshot and little of the log."""
    cluster = await swarm.control.GetCluster(control_pb2.GetClusterRequest(), timeout=_LIMIT)
    request = control_pb2.UpdateClusterRequest(
        spec=cluster.spec, version=cluster.meta.version, request_id=secrets.token_hex(8)
    )
    request.spec.snapshot_interval = 200
    await swarm.control.UpdateCluster(request, timeout=_LIMIT)


async def _fill(swarm: Swarm) -> float:
    spec = web_spec(TASKS)
    spec.task.resources.reservations.nano_cpus = CPUS * 10**9
    request = control_pb2.CreateServiceRequest(spec=spec, request_id=secrets.token_hex(8))
    begun = time.perf_counter()
    service = await swarm.control.CreateService(request, timeout=_LIMIT)
    quiet_since = await _until_quiet(swarm)
    listing = control_pb2.ListTasksRequest(service_keys=[service.id])
    tasks = await swarm.tasks(listing, timeout=_LIMIT)
    assert len(tasks) == TASKS, f"{len(tasks)} tasks came"
    return quiet_since - begun


async def _until_quiet(swarm: Swarm) -> float:
    """When the last entry was applied, once none has been for a while.

    Asked seldom and for little: a list of all tasks would cost the manager more than they do.
    """
    last, since = -1, time.perf_counter()
    async with asyncio.timeout(_LIMIT):
        while last < MANY_ENTRIES or time.perf_counter() - since < _PATIENCE:
            await asyncio.sleep(_STEP)
            group = await seen_by(swarm.manager)
            if group is not None and group.applied != last:
                last, since = group.applied, time.perf_counter()
    return since


async def _start(swarm: Swarm) -> float:
    await swarm.manager.stop_daemon(grace=60)
    begun = time.perf_counter()
    await swarm.manager.start_daemon()
    await swarm.control.GetCluster(
        control_pb2.GetClusterRequest(), timeout=_LIMIT, wait_for_ready=True
    )
    return time.perf_counter() - begun


async def _join(swarm: Swarm) -> float:
    """Makes the worker a manager, and takes that back."""
    begun = time.perf_counter()
    await _set_role(swarm, types_pb2.NODE_ROLE_MANAGER)
    await _until_voters(swarm, 2)
    taken = time.perf_counter() - begun
    await _set_role(swarm, types_pb2.NODE_ROLE_WORKER)
    await _until_voters(swarm, 1)
    await _until_worker(swarm)
    return taken


async def _set_role(swarm: Swarm, role: types_pb2.NodeRole.ValueType) -> None:
    while True:
        node = await swarm.control.GetNode(control_pb2.GetRequest(key="w1"), timeout=_LIMIT)
        request = control_pb2.UpdateNodeRequest(
            key=node.id, spec=node.spec, version=node.meta.version, request_id=secrets.token_hex(8)
        )
        request.spec.role = role
        try:
            await swarm.control.UpdateNode(request, timeout=_LIMIT)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.ABORTED:  # its status was changed meanwhile
                continue
            raise
        return


async def _until_voters(swarm: Swarm, count: int) -> None:
    async with asyncio.timeout(_LIMIT):
        while True:
            group = await seen_by(swarm.manager)
            if group is not None and sum(each.voter for each in group.members) == count:
                return
            await asyncio.sleep(_STEP)


async def _until_worker(swarm: Swarm) -> None:
    """Until the node has the certificate of a worker again, and has let go of its log."""
    async with asyncio.timeout(_LIMIT):
        while True:
            node = await swarm.control.GetNode(control_pb2.GetRequest(key="w1"), timeout=_LIMIT)
            if node.role == types_pb2.NODE_ROLE_WORKER:
                return
            await asyncio.sleep(_STEP)


def _snapshot(swarm: Swarm) -> float:
    """MiB of the newest snapshot."""
    found = (swarm.manager.paths.state / "swarm").rglob("*.snap")
    newest = max(found, key=lambda path: path.stat().st_mtime)
    return newest.stat().st_size / _MIB
