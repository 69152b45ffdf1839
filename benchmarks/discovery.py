"""discovery: a service is scaled up, until the new task answers to its name on another node.

A container asks its own DNS server for `tasks.NAME` again and again; the time is from the call to
the answer that has one address more. Beside it: from the call of scaling down to one address less.
"""

import asyncio
import secrets
import socket
import struct
import time
from pathlib import Path

from api.v1 import control_pb2, objects_pb2, specs_pb2
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Selector, Swarm, until, until_running, web_spec
from hostkit import cgroup, netns
from machine.drivers.lab import cgroups
from machine.drivers.lab.host import LabHost

RUNS = 10
NETWORK = "bench"
_STEP = 0.002


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure: tasks on the manager, and who asks for them on the worker."""
    name = control_pb2.CreateNetworkRequest(request_id=secrets.token_hex(8))
    name.spec.annotations.name = NETWORK
    network = await swarm.control.CreateNetwork(name, timeout=LIMIT)
    asking = await _create(swarm, "w1")
    web = await _create(swarm, "m1")
    worker = swarm.lab.host("w1")
    await until(lambda: _inside(worker) is not None, "nobody asks")
    inside = _inside(worker)
    assert inside is not None
    up, down = [], []
    with netns.call_in(inside, _asker) as asker:
        question = _question(f"tasks.{web.spec.annotations.name}")
        for _ in range(RUNS):
            up.append(await _scaled(swarm, web.id, 2, asker, question))
            down.append(await _scaled(swarm, web.id, 1, asker, question))
    await swarm.remove(asking.id)
    await swarm.until_gone(web.id)
    gone = control_pb2.RemoveRequest(key=network.id, request_id=secrets.token_hex(8))
    await swarm.control.RemoveNetwork(gone, timeout=LIMIT)
    return {"discovery": Measured(up, {"scaled_down": sorted(down)[RUNS // 2]})}


async def _create(swarm: Swarm, host: str) -> objects_pb2.Service:
    spec = web_spec(1)
    spec.task.networks.add(target=NETWORK)
    spec.task.placement.constraints.append(f"node.hostname=={host}")
    async with swarm.watch(Selector(kind=Selector.KIND_TASK)) as events:
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=secrets.token_hex(8))
        service = await swarm.control.CreateService(request, timeout=LIMIT)
        await until_running(events, 1)
    return service


async def _scaled(
    swarm: Swarm, service_id: str, replicas: int, asker: socket.socket, question: bytes
) -> float:
    """Seconds from the call to so many addresses."""
    key = control_pb2.GetRequest(key=service_id)
    service = await swarm.control.GetService(key, timeout=LIMIT)
    spec = specs_pb2.ServiceSpec()
    spec.CopyFrom(service.spec)
    spec.replicated.replicas = replicas
    request = control_pb2.UpdateServiceRequest(
        key=service_id,
        spec=spec,
        version=service.meta.version,
        request_id=secrets.token_hex(8),
    )
    begun = time.perf_counter()
    update = asyncio.ensure_future(swarm.control.UpdateService(request, timeout=LIMIT))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT):
        while True:
            await loop.sock_sendall(asker, question)
            if (await loop.sock_recv(asker, 4096))[7] == replicas:
                break
            await asyncio.sleep(_STEP)
    taken = time.perf_counter() - begun
    await update
    return taken


def _inside(host: LabHost) -> Path | None:
    """The network namespace of the one container that a host runs."""
    own = Path(f"/run/netns/{host.paths.namespace}").stat().st_ino
    for pid in cgroups.processes(cgroup.detect(), host.paths.cgroup):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        found = Path(f"/proc/{pid}/ns/net")
        if words and found.stat().st_ino != own:
            return found
    return None


def _asker() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.connect(("127.0.0.11", 53))
    return made


def _question(name: str) -> bytes:
    labels = (label.encode() for label in name.split("."))
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + wire + b"\0\0\1\0\1"
