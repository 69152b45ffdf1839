"""writes_1: services of 0 replicas created one after another over the manager's own socket.

Beside it, taken in turns with the runs: calls per second of a gRPC server in Python that returns
what it gets, and syncs per second of the manager's disk. The figure cannot exceed either.
"""

import asyncio
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from api.channel import unix_channel
from api.v1 import control_pb2
from benchmarks import echo
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, Swarm, until, web_spec

RUNS = 5
CALLS = 400
SYNCS = 400


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """The figure."""
    rates, echoes, syncs = [], [], []
    async with _echo_server() as socket:
        await _echoes(socket)  # both sides warm
        for _ in range(RUNS):
            rates.append(await _writes(swarm))
            echoes.append(await _echoes(socket))
            syncs.append(await asyncio.to_thread(_syncs, swarm.manager.paths.state))
    beside = {"grpc_echo": statistics.median(echoes), "fdatasync": statistics.median(syncs)}
    return {"writes_1": Measured(rates, beside)}


async def _writes(swarm: Swarm) -> float:
    requests = [_request() for _ in range(CALLS)]
    made = []
    begun = time.perf_counter()
    for request in requests:
        made.append(await swarm.control.CreateService(request, timeout=LIMIT))
    taken = time.perf_counter() - begun
    await asyncio.gather(*(swarm.remove(service.id) for service in made))
    return CALLS / taken


async def _echoes(socket: Path) -> float:
    message = _request().SerializeToString()
    async with unix_channel(socket) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(echo.METHOD)
        begun = time.perf_counter()
        for _ in range(CALLS):
            await call(message, timeout=LIMIT, wait_for_ready=True)
        return CALLS / (time.perf_counter() - begun)


def _syncs(directory: Path) -> float:
    """Appends of a log entry's size, each made durable."""
    with tempfile.NamedTemporaryFile(dir=directory, buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(SYNCS):
            file.write(bytes(512))
            os.fdatasync(file.fileno())
        return SYNCS / (time.perf_counter() - begun)


def _request() -> control_pb2.CreateServiceRequest:
    return control_pb2.CreateServiceRequest(spec=web_spec(0), request_id=secrets.token_hex(8))


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
