"""writes_1, writes_3: services of 0 replicas created one after another over the leader's own
socket, in a group of 1 or 3 managers; writes_1x16, writes_3x16: the same by 16 clients at once.

Beside them, taken in turns with the runs: calls per second of a gRPC server in Python that returns
what it gets, from as many clients, and syncs per second of the leader's disk. A figure of one
client cannot exceed either.
"""

import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from api.channel import unix_channel
from api.v1 import control_pb2
from benchmarks import echo
from benchmarks.figure import Measured
from benchmarks.managers import control_of, leader
from benchmarks.swarm import LIMIT, Swarm, until, web_spec
from machine.drivers.lab.host import LabHost

RUNS = 5
CALLS = 400
MANY = 16
FACTOR = 4
"""So many times more calls are made by many clients, so that a run is not over at once."""
SYNCS = 400


async def measure_1(swarm: Swarm) -> dict[str, Measured]:
    """Both figures of one manager."""
    return await _measure(swarm, {"writes_1": 1, "writes_1x16": MANY})


async def measure_3(swarm: Swarm) -> dict[str, Measured]:
    """Both figures of three managers."""
    return await _measure(swarm, {"writes_3": 1, "writes_3x16": MANY})


def request() -> control_pb2.CreateServiceRequest:
    """For a service of 0 replicas."""
    return control_pb2.CreateServiceRequest(spec=web_spec(0), request_id=secrets.token_hex(8))


async def _measure(swarm: Swarm, figures: dict[str, int]) -> dict[str, Measured]:
    host = await leader(swarm)
    found = {}
    async with _echo_server() as socket:
        await _echoes(socket, 1)  # both sides warm
        for name, clients in figures.items():
            rounds = [await _round(swarm, host, socket, clients) for _ in range(RUNS)]
            rates, echoes, syncs = zip(*rounds, strict=True)
            beside = {"grpc_echo": statistics.median(echoes)}
            beside |= {"fdatasync": statistics.median(syncs)}
            found[name] = Measured(rates, beside)
    return found


async def _round(
    swarm: Swarm, host: LabHost, socket: Path, clients: int
) -> tuple[float, float, float]:
    rate = await _writes(swarm, host, clients)
    echoes = await _echoes(socket, clients)
    return rate, echoes, await asyncio.to_thread(_syncs, host.paths.state)


async def _writes(swarm: Swarm, host: LabHost, clients: int) -> float:
    made: list[str] = []

    async def client(requests: Iterable[control_pb2.CreateServiceRequest]) -> None:
        async with control_of(host) as control:
            for each in requests:
                made.append((await control.CreateService(each, timeout=LIMIT)).id)

    rate = await _rate(client, clients)
    for first in range(0, len(made), MANY):  # a server of gRPC's refuses a thousand calls at once
        await asyncio.gather(*map(swarm.remove, made[first : first + MANY]))
    return rate


async def _echoes(socket: Path, clients: int) -> float:
    async def client(requests: Iterable[control_pb2.CreateServiceRequest]) -> None:
        async with unix_channel(socket) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(echo.METHOD)
            for each in requests:
                await call(each.SerializeToString(), timeout=LIMIT, wait_for_ready=True)

    return await _rate(client, clients)


async def _rate(
    client: Callable[[Iterable[control_pb2.CreateServiceRequest]], Awaitable[None]], clients: int
) -> float:
    """Calls per second of so many clients together, each on a connection of its own."""
    count = CALLS * (1 if clients == 1 else FACTOR)
    requests = [request() for _ in range(count)]
    begun = time.perf_counter()
    await asyncio.gather(*(client(requests[number::clients]) for number in range(clients)))
    return count / (time.perf_counter() - begun)


def _syncs(directory: Path) -> float:
    """Appends of a log entry's size, each made durable."""
    with tempfile.NamedTemporaryFile(dir=directory, buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(SYNCS):
            file.write(bytes(512))
            os.fdatasync(file.fileno())
        return SYNCS / (time.perf_counter() - begun)


@asynccontextmanager
async def _echo_server() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory, "echo.sock")
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.echo", str(socket)
        )
        try:
            await until(socket.exists, "the echo server does not listen")
            yield socket
        finally:
            child.terminate()
            await child.wait()
