"""report_10k: how long one manager takes until 1,000 agents have reported its 10,000 new tasks as
running: placed, assigned, reported and durable.

The agents are simulated: each has its certificate, its connection with a session, assignments and
heartbeats as a real one, and says at once that a task runs. They share a process, which competes
with the manager for the machine. Beside the figure: the manager's CPU for it at most, how late its
event loop was at worst, its memory, and how long all agents took to register. Needs no lab.
"""

import asyncio
import json
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from api import states
from api.channel import node_channel
from api.identity import Credentials
from api.times import seconds_of
from api.v1 import (
    control_pb2,
    control_pb2_grpc,
    dispatcher_pb2,
    dispatcher_pb2_grpc,
    objects_pb2,
    types_pb2,
)
from benchmarks.figure import Measured
from benchmarks.swarm import LIMIT, web_spec

FIGURE = "report_10k"
AGENTS = 1_000
TASKS = 10_000
RUNS = 3
_AT_ONCE = 50  # agents that begin at the same time: handshakes cost both sides most

Change = dispatcher_pb2.AssignmentChange
Reported = asyncio.Queue[int | BaseException]
"""How many more tasks run, or why an agent ended."""


async def measure() -> Measured:
    """The figure, each time with one more service."""
    with tempfile.TemporaryDirectory() as directory:
        async with _manager(Path(directory)) as (child, address, identities):
            reported: Reported = asyncio.Queue()
            begun = time.perf_counter()
            async with _agents(address, identities[1:], reported):
                registered = time.perf_counter() - begun
                async with node_channel(address, identities[0]) as channel:
                    control = control_pb2_grpc.ControlStub(channel)
                    runs = [await _run(control, child, reported) for _ in range(RUNS)]
                used = await _used(child)
    beside = {"cpu_s": max(cpu for _, cpu in runs), "lag_ms": used["lag_ms"]}
    beside |= {"rss_mib": used["rss_mib"], "register_s": registered}
    return Measured([elapsed for elapsed, _ in runs], beside)


async def _run(
    control: "control_pb2_grpc.ControlAsyncStub", child: asyncio.subprocess.Process, new: Reported
) -> tuple[float, float]:
    """Seconds until all tasks were reported, and the CPU that the manager used meanwhile."""
    before = (await _used(child))["cpu_s"]
    request = control_pb2.CreateServiceRequest(
        spec=web_spec(TASKS), request_id=secrets.token_hex(8)
    )
    begun = time.perf_counter()
    await control.CreateService(request, timeout=LIMIT)
    missing = TASKS
    async with asyncio.timeout(LIMIT):
        while missing > 0:
            event = await new.get()
            if isinstance(event, BaseException):
                raise event
            missing -= event
    elapsed = time.perf_counter() - begun
    cpu = (await _used(child))["cpu_s"] - before
    return elapsed, cpu


class _Agent:
    """One worker's side of the dispatcher."""

    def __init__(self, channel: grpc.aio.Channel, reported: Reported) -> None:
        self._dispatcher = dispatcher_pb2_grpc.DispatcherStub(channel)
        self._reported = reported
        self._session_id = ""

    async def register(self) -> None:
        """Opens the session."""
        description = objects_pb2.NodeDescription(
            hostname="simulated",
            platform=types_pb2.Platform(os="linux", architecture="amd64"),
            resources=types_pb2.Resources(nano_cpus=10**12, memory_bytes=1 << 40),
        )
        self._session = self._dispatcher.Session(
            dispatcher_pb2.SessionRequest(description=description)
        )
        greeting = await self._session.read()
        assert isinstance(greeting, dispatcher_pb2.SessionMessage)
        self._session_id = greeting.session_id

    async def beat(self) -> None:
        """Keeps it alive until cancelled."""
        request = dispatcher_pb2.HeartbeatRequest(session_id=self._session_id)
        while True:
            answer = await self._dispatcher.Heartbeat(request, timeout=LIMIT)
            await asyncio.sleep(seconds_of(answer.period))

    async def work(self) -> None:
        """Says of each task what it is told to do, until cancelled."""
        request = dispatcher_pb2.AssignmentsRequest(session_id=self._session_id)
        async for message in self._dispatcher.Assignments(request):
            updates = [
                dispatcher_pb2.TaskStatusUpdate(
                    task_id=each.task.id, status=objects_pb2.TaskStatus(state=state)
                )
                for each in message.changes
                if each.action == Change.ACTION_UPDATE
                and (state := _obeyed(each.task)) > each.task.status.state
            ]
            if updates:
                await self._dispatcher.UpdateTaskStatus(
                    dispatcher_pb2.UpdateTaskStatusRequest(
                        session_id=self._session_id, updates=updates
                    ),
                    timeout=LIMIT,
                )
                running = sum(update.status.state == states.RUNNING for update in updates)
                self._reported.put_nowait(running)


def _obeyed(task: objects_pb2.Task) -> types_pb2.TaskState.ValueType:
    return states.RUNNING if task.desired_state <= states.RUNNING else states.SHUTDOWN


@asynccontextmanager
async def _agents(
    address: str, identities: Sequence[Credentials], reported: Reported
) -> AsyncIterator[None]:
    """All agents, registered and at work."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            reported.put_nowait(task.exception() or RuntimeError("an agent's stream ended"))

    async with AsyncExitStack() as stack:
        tasks: list[asyncio.Task[None]] = []
        try:
            for first in range(0, len(identities), _AT_ONCE):
                agents = []
                for each in identities[first : first + _AT_ONCE]:
                    channel = await stack.enter_async_context(node_channel(address, each))
                    agents.append(_Agent(channel, reported))
                await asyncio.gather(*(agent.register() for agent in agents))
                begun = [asyncio.create_task(agent.beat()) for agent in agents]
                begun += [asyncio.create_task(agent.work()) for agent in agents]
                for task in begun:
                    task.add_done_callback(ended)
                tasks += begun
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _manager(
    directory: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, list[Credentials]]]:
    """The process, where its manager listens, and the credentials of it and of each agent."""
    port = _free_port()
    module = ("-m", "benchmarks.agents_manager")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *module,
        str(directory),
        str(port),
        str(AGENTS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        line = await asyncio.wait_for(child.stdout.readline(), LIMIT)
        assert line == b"ready\n", "the manager did not start"
        text = await asyncio.to_thread((directory / "identities.json").read_text, "utf-8")
        yield child, f"127.0.0.1:{port}", _credentials(json.loads(text))
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), LIMIT)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


def _credentials(found: dict[str, Any]) -> list[Credentials]:
    root = found["root"].encode()
    return [
        Credentials(key.encode(), certificate.encode(), root) for key, certificate in found["nodes"]
    ]


async def _used(child: asyncio.subprocess.Process) -> dict[str, float]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    used: dict[str, float] = json.loads(await asyncio.wait_for(child.stdout.readline(), LIMIT))
    return used


def _free_port() -> int:
    """A port of loopback that is free together with the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
