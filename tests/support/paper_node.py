"""A node of paper: an agent over a scripted executor, and a manager on a unix socket."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from api import channel
from api.v1 import dispatcher_pb2
from hostkit import clock
from tests.support.fake_executor import FakeExecutor
from tests.support.fake_manager import FakeManager
from worker.agent import Agent
from worker.session import Timing
from worker.storage import Storage


class Node:
    """What outlives an agent: the state file, the containers, and the manager's socket."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manager = FakeManager(directory / "m.sock")
        self.executor = FakeExecutor()
        self.timing = Timing()
        self.seeds = [dispatcher_pb2.ManagerAddress(node_id="m", address="m.sock")]
        self.heard: list[dispatcher_pb2.SessionMessage] = []

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """A running agent, stopped at the end; addresses are names of sockets."""
        storage = await Storage.open(self.directory / "tasks.db")
        agent = Agent(
            node_id="n",
            executor=self.executor,
            storage=storage,
            managers=self.seeds,
            connect=lambda address: channel.unix_channel(self.directory / address),
            wall=clock.wall,
            chance=random.Random(1),
            timing=self.timing,
            on_session=self.heard.append,
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

    def run(self, scenario: Callable[[], Awaitable[Any]]) -> None:
        """Runs a scenario with the manager up; no asyncio task may be left at its end."""

        async def all_of_it() -> None:
            await self.manager.start()
            try:
                async with asyncio.timeout(60):
                    await scenario()
            finally:
                await self.manager.stop()
            left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            ours = [t for t in left if "/worker/" in str(t.get_coro())]
            assert ours == []

        asyncio.run(all_of_it())
