"""An executor without containers: obeys scripts, counts calls, and outlives its agents."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from api.errors import Code, SwarmError
from api.files import Key
from api.payloads import Content
from api.states import UNCHECKED, UNPROVEN
from api.times import timestamp
from api.v1 import exec_pb2, logs_pb2, objects_pb2
from worker.executor import (
    Doubts,
    ExitResult,
    Health,
    HealthState,
    OutputStream,
    Progress,
    RunningCommand,
    unheard,
    untold,
)

Task = objects_pb2.Task


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int = 0
    oom_killed: bool = False
    at: float = 0.0
    message: str = ""


@dataclass
class FakeContainer:
    """A container that does as the test says."""

    started: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    exit: Exit | None = None
    lines: list[bytes] = field(default_factory=list)
    wrote: asyncio.Event = field(default_factory=asyncio.Event)
    health: list[Health] = field(default_factory=list)
    judged: asyncio.Event = field(default_factory=asyncio.Event)

    def judge(self, health: Health) -> None:
        """What its health check says from now on."""
        self.health.append(health)
        self.judged.set()

    def end(self, exit: Exit) -> None:
        self.exit = exit
        self.ended.set()
        self.wrote.set()
        self.judged.set()

    def write(self, line: bytes) -> None:
        self.lines.append(line)
        self.wrote.set()


class FakeCommand:
    """A command that writes to stdout what it reads, and ends with the first byte as its code once
    there is no more. It reads no further than `eats` bytes.
    """

    streams: tuple[OutputStream, ...] = ("stdout", "stderr")

    def __init__(self, start: exec_pb2.ExecStart) -> None:
        self.start = start
        self.read_bytes = b""
        self.eats: int | None = None
        self.told: list[object] = []
        self.closed = False
        self._out: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self, stream: OutputStream) -> bytes:
        return await self._out.get() if stream == "stdout" else b""

    async def write(self, data: bytes) -> None:
        if self.eats is not None and len(self.read_bytes) + len(data) > self.eats:
            await asyncio.Event().wait()
        self.read_bytes += data
        self._out.put_nowait(data)

    async def end_input(self) -> None:
        self._out.put_nowait(b"")

    def resize(self, rows: int, columns: int) -> None:
        self.told.append((rows, columns))

    def signal(self, number: int) -> None:
        self.told.append(number)

    async def wait(self) -> int:
        return self.read_bytes[0]


class FakeExecutor:
    """Fulfils Executor. `failures[step]` are raised one after another; `gates[step]` block it."""

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.calls: list[tuple[str, str]] = []
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.gates: dict[str, asyncio.Event] = {}
        self.description = objects_pb2.NodeDescription(hostname="box")
        self.held: dict[Key, Content] = {}
        self.progress: dict[str, Progress] = {}
        self.doubts: dict[str, Doubts] = {}
        self.commands: dict[str, FakeCommand] = {}
        self.under_way = 0
        self.most_under_way = 0

    def run(self, task_id: str, **changes: object) -> FakeContainer:
        """A container as a former daemon left it."""
        found = self.containers[task_id] = FakeContainer(started=True)
        for name, value in changes.items():
            setattr(found, name, value)
        return found

    def steps(self, task_id: str) -> list[str]:
        """The steps that were asked for with a task, in order."""
        return [step for step, called_for in self.calls if called_for == task_id]

    async def describe(self) -> objects_pb2.NodeDescription:
        copy = objects_pb2.NodeDescription()
        copy.CopyFrom(self.description)
        return copy

    async def recover(self) -> Collection[str]:
        return list(self.containers)

    def hold(self, contents: Mapping[Key, Content]) -> None:
        self.held = dict(contents)

    async def prepare(self, task: Task, progress: Progress = untold) -> None:
        self.progress[task.id] = progress
        await self._step("prepare", task)
        self.containers.setdefault(task.id, FakeContainer())

    async def start(self, task: Task) -> objects_pb2.ContainerStatus:
        await self._step("start", task)
        container = self.containers.setdefault(task.id, FakeContainer())
        container.started = True
        health = UNPROVEN if task.spec.container.HasField("health") else UNCHECKED
        return objects_pb2.ContainerStatus(container_id=task.id, pid=4711, health=health)

    async def wait(self, task: Task) -> ExitResult:
        await self._step("wait", task)
        container = self.containers.get(task.id)
        if container is None:
            raise SwarmError(Code.NOT_FOUND, f"no container {task.id}")
        await container.ended.wait()
        assert container.exit is not None
        return container.exit

    async def health(
        self, task: Task, known: HealthState, doubts: Doubts = unheard
    ) -> Health | None:
        self.doubts[task.id] = doubts
        await self._step("health", task)
        container = self.containers.get(task.id)
        while container is not None and container.exit is None:
            container.judged.clear()
            if container.health and container.health[-1].state != known:
                return container.health[-1]
            await container.judged.wait()
        return None

    async def shutdown(self, task: Task) -> ExitResult | None:
        await self._step("shutdown", task)
        return self._end(task, Exit(143))

    async def terminate(self, task: Task) -> ExitResult | None:
        await self._step("terminate", task)
        return self._end(task, Exit(137))

    async def remove(self, task: Task) -> None:
        await self._step("remove", task)
        self.containers.pop(task.id, None)

    async def logs(
        self, task: Task, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        await self._step("logs", task)
        container = self.containers.get(task.id)
        if container is None:
            raise SwarmError(Code.NOT_FOUND, f"no container {task.id}")
        sent = max(0, len(container.lines) - options.tail) if options.tail >= 0 else 0
        while True:
            container.wrote.clear()
            for line in container.lines[sent:]:
                yield logs_pb2.LogMessage(
                    service_id=task.service_id,
                    task_id=task.id,
                    node_id=task.node_id,
                    at=timestamp(1.0),
                    stream=logs_pb2.LogOptions.STREAM_STDOUT,
                    data=line,
                )
            sent = len(container.lines)
            if not options.follow or container.ended.is_set():
                return
            await container.wrote.wait()

    @asynccontextmanager
    async def exec(self, task: Task, start: exec_pb2.ExecStart) -> AsyncIterator[RunningCommand]:
        await self._step("exec", task)
        command = self.commands[task.id] = FakeCommand(start)
        try:
            yield command
        finally:
            command.closed = True

    async def _step(self, step: str, task: Task) -> None:
        self.calls.append((step, task.id))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if (gate := self.gates.get(step)) is not None:
                await gate.wait()
        finally:
            self.under_way -= 1
        if self.failures[step]:
            raise self.failures[step].pop(0)

    def _end(self, task: Task, exit: Exit) -> Exit | None:
        container = self.containers.get(task.id)
        if container is None or not container.started:
            return None
        if container.exit is None:
            container.end(exit)
        return container.exit
