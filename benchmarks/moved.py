"""moved_100: a node is drained of a hundred tasks that are in a network, until no node knows their
former places.

Three hosts; beside the hundred, the two others have a task of their own in the network. Places are
what kernels hold: the entries of each host's tunnels, and the backends in each task's table of
virtual addresses. They are looked at without pause, tunnels first: hosts change them before tables.
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeAlias

from api.errors import Code, SwarmError
from api.v1 import control_pb2, types_pb2
from benchmarks import stacks, usage
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Selector, Swarm, nodes, until, until_running
from hostkit.netlink import Netlink
from machine.drivers.lab.host import LabHost
from overlay_net.balance.views import BASE
from overlay_net.fabric import bulk
from overlay_net.fabric.hardware import packed
from overlay_net.nft import LibNft

TASKS = 100
RUNS = 5
VICTIM = "w2"
_SETTLE = 2.0
_ACTIVE = types_pb2.NODE_AVAILABILITY_ACTIVE
_PAUSE = types_pb2.NODE_AVAILABILITY_PAUSE
_DRAIN = types_pb2.NODE_AVAILABILITY_DRAIN
_ADDRESS = re.compile(r'"(\d+\.\d+\.\d+\.\d+)"')

Availability: TypeAlias = types_pb2.NodeAvailability.ValueType


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure; beside it when the last task ran, and each host's CPU per task that moved."""
    others = [host.name for host in nodes(swarm.lab) if host.name != VICTIM]
    async with stacks.network(swarm):
        here = [await stacks.create(swarm, stacks.spec_on(name, 1), 1) for name in others]
        runs = [await _run(swarm, others) for _ in range(RUNS)]
        for service in here:
            await swarm.until_gone(service.id)
    beside = {name: sorted(run[name] for run in runs)[RUNS // 2] for name in runs[0]}
    del beside["seconds"]
    return {"moved_100": Measured([run["seconds"] for run in runs], beside)}


async def _run(swarm: Swarm, others: Iterable[str]) -> dict[str, float]:
    """All tasks begin on the victim."""
    for name in others:
        await _make(swarm, name, _PAUSE)
    web = await stacks.create(swarm, stacks.spec_on("", TASKS), TASKS)
    for name in others:
        await _make(swarm, name, _ACTIVE)
    await asyncio.sleep(_SETTLE)
    found = await _move(swarm, web.id)
    await swarm.until_gone(web.id)
    await _make(swarm, VICTIM, _ACTIVE)
    return found


async def _move(swarm: Swarm, service_id: str) -> dict[str, float]:
    tasks = await stacks.running(swarm, service_id)
    known = {task.id for task in tasks}
    former = {stacks.address_of(task) for task in tasks}
    hosts = nodes(swarm.lab)
    before = {host.name: usage.cpu_seconds(host) for host in hosts}
    async with swarm.watch(Selector(kind=Selector.KIND_TASK, service_id=service_id)) as events:
        begun = time.perf_counter()
        await _make(swarm, VICTIM, _DRAIN)
        await until_running(events, TASKS, where=lambda task: task.id not in known)
        ran = time.perf_counter()
        await _until_forgotten(hosts, former)
        ended = time.perf_counter()
    used = {host.name: usage.cpu_seconds(host) - before[host.name] for host in hosts}
    return {
        "seconds": ended - begun,
        "last_ran_s": ran - begun,
        **{f"cpu_ms_{name}": 1000 * each / TASKS for name, each in used.items()},
    }


async def _make(swarm: Swarm, name: str, availability: Availability) -> None:
    node = await swarm.control.GetNode(control_pb2.GetRequest(key=name), timeout=LIMIT)
    request = control_pb2.UpdateNodeRequest(
        key=node.id,
        spec=node.spec,
        version=node.meta.version,
        request_id=secrets.token_hex(8),
    )
    request.spec.availability = availability
    await swarm.control.UpdateNode(request, timeout=LIMIT)


async def _until_forgotten(hosts: Collection[LabHost], former: Collection[str]) -> None:
    entries = {packed(address) for address in former}

    def tunnels_know() -> bool:
        return any(entries & _entries(host) for host in hosts)

    def tables_know() -> bool:
        return any(_is_named(path, former) for host in hosts for path in stacks.all_on(host))

    await until(lambda: not tunnels_know(), "a tunnel leads to a former place")
    await until(lambda: not tables_know(), "a virtual address leads to a former place")


def _entries(host: LabHost) -> set[bytes]:
    """The addresses for which the host's tunnels answer."""
    try:
        with Netlink.inside(stacks.of_fabric(host)) as fabric:
            found = map(bulk.read, fabric.dump(bulk.ask_neighbours()))
            return {entry[1] for entry in found if entry is not None}
    except SwarmError as error:
        if error.code is Code.NOT_FOUND:  # it has no networks any more
            return set()
        raise


def _is_named(path: Path, former: Collection[str]) -> bool:
    """Whether a task's table leads to one of these addresses, or has led there."""
    with contextlib.closing(LibNft()) as nft, contextlib.suppress(SwarmError):  # it has ended
        listed = json.dumps(nft.ask(path, f"list table {BASE.at}"))
        return not set(_ADDRESS.findall(listed)).isdisjoint(former)
    return False
