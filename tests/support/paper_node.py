"""A node of paper: an agent over a scripted executor, and a manager on a unix socket."""

import asyncio
import random
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from api import channel
from api.states import ASSIGNED, RUNNING
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from hostkit import clock
from tests.support.fake_executor import FakeExecutor
from tests.support.fake_manager import FakeManager
from worker.agent import Agent
from worker.attachments import Attachments
from worker.node_networks import NodeNetworks, NoNetworks
from worker.node_volumes import NodeVolumes, NoVolumes
from worker.session import Timing
from worker.storage import Storage

State: TypeAlias = types_pb2.TaskState.ValueType


class Node:
    """What outlives an agent: the state file, the containers, and the manager's socket."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manager = FakeManager(directory / "m.sock")
        self.executor = FakeExecutor()
        self.networks: NodeNetworks = NoNetworks()
        self.volumes: NodeVolumes = NoVolumes()
        self.attachments = Attachments()
        self.timing = Timing()
        self.seeds = [dispatcher_pb2.ManagerAddress(node_id="m", address="m.sock")]
        self.heard: list[dispatcher_pb2.SessionMessage] = []
        self.dialled: list[str] = []
        self._channels: list[grpc.aio.Channel] = []

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """A running agent, stopped at the end; addresses are names of sockets."""
        storage = await Storage.open(self.directory / "tasks.db")
        agent = Agent(
            node_id="n",
            executor=self.executor,
            storage=storage,
            managers=self.seeds,
            connect=self._connect,
            wall=clock.wall,
            chance=random.Random(1),
            timing=self.timing,
            on_session=self.heard.append,
            networks=self.networks,
            volumes=self.volumes,
            attachments=self.attachments,
        )
        running = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            if running.done():
                await running
            await agent.stop()
            await running
            await storage.close()

    def _connect(self, address: str) -> grpc.aio.Channel:
        self.dialled.append(address)
        self._channels.append(channel.unix_channel(self.directory / address))
        return self._channels[-1]

    def run(self, scenario: Callable[[], Awaitable[Any]]) -> None:
        """Runs a scenario with the manager up; no asyncio task may be left at its end."""

        async def all_of_it() -> None:
            await self.manager.start()
            try:
                async with asyncio.timeout(60):
                    await scenario()
            finally:
                await self.manager.stop()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            # gRPC's own coroutines are Cython's, and end a little later.
            assert [t for t in left if _is_python(t)] == []
            states = {made.get_state() for made in self._channels}
            assert states <= {grpc.ChannelConnectivity.SHUTDOWN}

        asyncio.run(all_of_it())


def _is_python(task: asyncio.Task[Any]) -> bool:
    return isinstance(task.get_coro(), types.CoroutineType)


def task(task_id: str, desired: State = RUNNING, state: State = ASSIGNED) -> objects_pb2.Task:
    made = objects_pb2.Task(
        id=task_id, service_id="s", service_name="web", node_id="n", desired_state=desired
    )
    made.spec.container.image = "app:1"
    made.status.state = state
    return made


async def until(condition: Callable[[], object]) -> None:
    """Waits for what the agent tells nobody, so that it must be looked at."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def gone(node: Node, task_id: str) -> None:
    """Waits until a container is removed."""
    await until(lambda: task_id not in node.executor.containers)
