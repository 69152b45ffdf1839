"""What runs on a host: containers that outlive the agent, and the executor through which an agent
handles them. In the place of worker.container: the same Protocol, over virtual time.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.errors import Code, SwarmError
from api.files import Key
from api.payloads import Content
from api.placeholders import NodeFacts
from api.states import HEALTHY, UNCHECKED, UNHEALTHY, UNPROVEN
from api.v1 import exec_pb2, logs_pb2, objects_pb2, types_pb2
from tests.support.builders import GIB, node
from worker.executor import (
    Doubts,
    Health,
    HealthState,
    Progress,
    RunningCommand,
    unheard,
    untold,
)
from worker.node_networks import NodeNetworks
from worker.task_files import gather

if TYPE_CHECKING:
    from tests.sim.control.host import Host

Task = objects_pb2.Task
CPUS, MEMORY = 4, 4 * GIB
LEASE_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended."""

    code: int
    at: float
    message: str = ""
    oom_killed: bool = False


class Container:
    """One container. `exit`: None until it has ended."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.started = False
        self.exit: Exit | None = None
        self.ended = asyncio.Event()
        self.ill = False
        self._news = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.started and self.exit is None

    @property
    def checked(self) -> bool:
        """Whether it has a health check."""
        return self.task.spec.container.HasField("health")

    def end(self, exit: Exit) -> None:
        """Its process is gone."""
        if self.exit is None:
            self.exit = exit
            self.ended.set()
            self._news.set()

    def fall_ill(self) -> None:
        """Its health check fails from now on."""
        self.ill = True
        self._news.set()

    async def not_well(self) -> None:
        """Until it is ill, or has ended."""
        await self._news.wait()


class SimExecutor:
    """Fulfils worker.executor.Executor for one host."""

    def __init__(self, host: "Host", networks: NodeNetworks) -> None:
        self._host = host
        self._networks = networks
        self._world = host.world
        self._contents: Mapping[Key, Content] = {}

    async def describe(self) -> objects_pb2.NodeDescription:
        """What the host has."""
        made = node(self._host.name, cpus=CPUS, memory=MEMORY).description
        guarded = self._world.storage.guarded
        made.volume_drivers.add(name="shared", creates=guarded, opens=guarded, fences=guarded)
        made.address = f"10.0.0.{self._host.number}"
        return made

    async def recover(self) -> Collection[str]:
        """The containers that are there."""
        return list(self._host.containers)

    def hold(self, contents: Mapping[Key, Content]) -> None:
        """In memory, and gone with the agent."""
        self._contents = contents
        self._host.held = dict(contents)

    async def prepare(self, task: Task, progress: Progress = untold) -> None:
        """Pulls, more or less."""
        await self._takes(0.05, 1.5)
        self._make(task)

    async def start(self, task: Task) -> objects_pb2.ContainerStatus:
        """Starts what never ran."""
        await self._takes(0.02, 0.2)
        container = self._make(task)
        while not self._host.keeper.has_all(task):
            await self._takes(LEASE_PAUSE, LEASE_PAUSE)
        if not container.started:
            container.started = True
            self._world.checks.started(self._host, container)
            self._world.container_started(container)
        health = UNPROVEN if container.checked else UNCHECKED
        return objects_pb2.ContainerStatus(container_id=task.id, pid=4711, health=health)

    async def wait(self, task: Task) -> Exit:
        """Until it has ended."""
        container = self._host.containers.get(task.id)
        if container is None:
            raise SwarmError(Code.NOT_FOUND, f"no container {task.id}")
        await container.ended.wait()
        assert container.exit is not None
        return container.exit

    async def health(
        self, task: Task, known: HealthState, doubts: Doubts = unheard
    ) -> Health | None:
        """The first probe tells; after it, as soon as it falls ill."""
        container = self._host.containers.get(task.id)
        if container is None:
            return None
        if known == UNPROVEN:
            await self._takes(0.2, 4.0)
            if container.running and not container.ill:
                return Health(HEALTHY, "")
        await container.not_well()
        await self._takes(0.2, 1.0)
        return Health(UNHEALTHY, "1 probe failed: ill") if container.running else None

    async def shutdown(self, task: Task) -> Exit | None:
        """Asks it to end; it takes its time."""
        container = self._host.containers.get(task.id)
        if container is not None and container.running:
            began, ill = self._world.loop.time(), container.ill
            if not ill:
                self._world.checks.stopped(self._host, task)
            await self._networks.drained(task)
            if not ill:
                self._world.checks.drained(self._host, task, self._world.loop.time() - began)
            await self._takes(0.05, 3.0)
        await self._networks.leave(task.id)
        return self._end(container, 143)

    async def terminate(self, task: Task) -> Exit | None:
        """Kills it."""
        container = self._host.containers.get(task.id)
        if container is not None and container.running:
            self._world.checks.stopped(self._host, task)
        return self._end(container, 137)

    async def remove(self, task: Task) -> None:
        """No trace is left."""
        await self._takes(0.01, 0.1)
        self._host.containers.pop(task.id, None)

    def logs(
        self, task: Task, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        """Nothing was written."""
        raise SwarmError(Code.NOT_FOUND, f"no logs of {task.id}")

    def _make(self, task: Task) -> Container:
        """The container, with the secrets that it needs if it is new."""
        found = self._host.containers.get(task.id)
        if found is None:
            here = NodeFacts(task.node_id, self._host.name, types_pb2.Platform())
            gather(task, self._contents, here)
            found = self._host.containers[task.id] = Container(task)
        return found

    def exec(
        self, task: Task, start: exec_pb2.ExecStart
    ) -> AbstractAsyncContextManager[RunningCommand]:
        """Nobody runs commands here."""
        raise SwarmError(Code.REFUSED, f"no command runs in {task.id}")

    async def _takes(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._world.random.uniform(shortest, longest))

    def _end(self, container: Container | None, code: int) -> Exit | None:
        if container is None or not container.started:
            return None
        container.end(Exit(code, self._world.wall()))
        return container.exit
