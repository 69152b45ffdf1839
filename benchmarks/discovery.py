"""discovery and vip_ready: a service is scaled up, until another node finds the new task.

For `discovery` a container asks its own DNS server for `tasks.NAME` again and again, until the
answer has one address more; for `vip_ready` it connects to the virtual address of a service that
had no task. Both are timed from the call; beside it from the moment at which a client of the
managers hears that the task runs, which is what networks add to a start.
"""

import asyncio
import math
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.v1 import control_pb2, objects_pb2, specs_pb2
from benchmarks import stacks
from benchmarks.dns import NAME_SERVER, question
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Events, Selector, Swarm, is_running
from hostkit import netns

RUNS = 20
_STEP = 0.002
_PORT = 80
_SLOW = 0.25
_RARELY = 0.95


@dataclass(frozen=True)
class _Times:
    """Seconds to what was waited for: from the call, and from the event."""

    call: float
    event: float


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """Both: tasks on the manager, and who asks for them on the worker."""
    async with stacks.network(swarm):
        asking, stack = await stacks.stack_on(swarm, "w1")
        named = await _named(swarm, stack.path)
        reached = await _reached(swarm, stack.path)
        await swarm.until_gone(asking.id)
    return {"discovery": named, "vip_ready": reached}


async def _named(swarm: Swarm, inside: Path) -> Measured:
    web = await stacks.create(swarm, stacks.spec_on("m1", 1), 1)
    asked = question(f"tasks.{web.spec.annotations.name}")
    up, down = [], []
    with netns.call_in(inside, _asker) as sock:

        async def has(count: int) -> None:
            await _until(lambda: _answers(sock, asked), count)

        for _ in range(RUNS):
            up.append(await _scaled(swarm, web, 2, lambda: has(2)))
            begun = time.perf_counter()
            await _scale(swarm, web.id, 1)
            await has(1)
            down.append(time.perf_counter() - begun)
            await stacks.until_left(swarm, web.id, 1)
    await swarm.until_gone(web.id)
    return _measured(up, {"scaled_down": sorted(down)[RUNS // 2]})


async def _reached(swarm: Swarm, inside: Path) -> Measured:
    web = await stacks.create(swarm, stacks.spec_on("m1", 0), 0)
    virtual = await stacks.virtual_address(swarm, web.id)

    async def answers(wanted: bool) -> None:
        await _until(lambda: _connects(inside, virtual), wanted)

    up = []
    for _ in range(RUNS):
        up.append(await _scaled(swarm, web, 1, lambda: answers(True)))
        await _scale(swarm, web.id, 0)
        await answers(False)
        await stacks.until_left(swarm, web.id, 0)
    await swarm.until_gone(web.id)
    return _measured(up, {})


async def _scaled(
    swarm: Swarm,
    service: objects_pb2.Service,
    replicas: int,
    found: Callable[[], Awaitable[None]],
) -> _Times:
    """Scales up by a task, and waits until it is found."""
    known = {task.id for task in await stacks.running(swarm, service.id)}
    selector = Selector(kind=Selector.KIND_TASK, service_id=service.id)
    async with swarm.watch(selector) as events:
        heard = asyncio.ensure_future(_heard(events, known))
        begun = time.perf_counter()
        scaling = asyncio.ensure_future(_scale(swarm, service.id, replicas))
        await found()
        ended = time.perf_counter()
        await scaling
        return _Times(ended - begun, ended - await heard)


async def _heard(events: Events, known: set[str]) -> float:
    """When it was heard that a new task runs."""
    async for event in events:
        if event.object.task.id not in known and is_running(event.object.task):
            break
    return time.perf_counter()


async def _scale(swarm: Swarm, service_id: str, replicas: int) -> None:
    service = await swarm.control.GetService(control_pb2.GetRequest(key=service_id), timeout=LIMIT)
    spec = specs_pb2.ServiceSpec()
    spec.CopyFrom(service.spec)
    spec.replicated.replicas = replicas
    request = control_pb2.UpdateServiceRequest(
        key=service_id,
        spec=spec,
        version=service.meta.version,
        request_id=secrets.token_hex(8),
    )
    await swarm.control.UpdateService(request, timeout=LIMIT)


async def _until(look: Callable[[], Awaitable[int]], wanted: int) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            if await look() == wanted:
                return
            await asyncio.sleep(_STEP)


async def _answers(sock: socket.socket, question: bytes) -> int:
    """How many records the answer has."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, question)
    return (await loop.sock_recv(sock, 4096))[7]


async def _connects(inside: Path, address: str) -> bool:
    """Whether a connection is taken."""
    with netns.call_in(inside, socket.socket) as made:
        made.setblocking(False)
        try:
            async with asyncio.timeout(_SLOW):
                await asyncio.get_running_loop().sock_connect(made, (address, _PORT))
        except OSError:
            return False
        return True


def _measured(times: Sequence[_Times], beside: dict[str, float]) -> Measured:
    calls, events = sorted(each.call for each in times), sorted(each.event for each in times)
    rare = math.ceil(_RARELY * len(times)) - 1
    middle = len(times) // 2
    told = {
        "p95": calls[rare],
        "after_event_ms": 1000 * events[middle],
        "after_event_p95_ms": 1000 * events[rare],
    }
    return Measured([each.call for each in times], told | beside)


def _asker() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.connect(NAME_SERVER)
    return made
