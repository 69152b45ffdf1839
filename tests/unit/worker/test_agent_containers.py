"""An agent over real containers: the executor's steps in the order that the machine gives them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api import channel
from api.states import COMPLETE, FAILED, REJECTED, RUNNING, SHUTDOWN
from api.v1 import dispatcher_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from tests.support.fake_manager import FakeManager
from tests.support.task_host import OBEYS, Host
from worker.agent import Agent
from worker.storage import Storage

pytestmark = pytest.mark.root


def test_an_agent_over_real_containers(host: Host, tmp_path: Path) -> None:
    manager = FakeManager(tmp_path / "m.sock")
    good, bad, lost = (
        host.task(*OBEYS),
        host.task("sh", "-c", "exit 5"),
        host.task(image="x.invalid/y"),
    )
    job = host.task("true")
    job.desired_state = COMPLETE
    manager.tasks = {task.id: task for task in (good, bad, lost, job)}

    async def life(driver: ConmonDriver, scenario: Callable[[], Awaitable[None]]) -> None:
        await driver.recover()
        storage = await Storage.open(tmp_path / "tasks.db")
        agent = Agent(
            node_id="n",
            executor=host.executor(driver),
            storage=storage,
            managers=[dispatcher_pb2.ManagerAddress(node_id="m", address="m")],
            connect=lambda _: channel.unix_channel(tmp_path / "m.sock"),
            wall=clock.wall,
            chance=random.Random(1),
        )
        running = asyncio.create_task(agent.run())
        try:
            await scenario()
        finally:
            await agent.stop()
            await running
            await storage.close()
            await driver.close()

    async def first() -> None:
        assert (await manager.reported(bad.id, FAILED)).error == "task: non-zero exit (5)"
        assert (await manager.reported(lost.id, REJECTED)).error.startswith("No such image: ")
        await manager.reported(job.id, COMPLETE)
        assert (await manager.reported(good.id, RUNNING)).container.pid > 1

    async def second() -> None:
        await manager.want(good.id, SHUTDOWN)
        stopped = await manager.reported(good.id, SHUTDOWN)
        assert stopped.container.exit_code == 3

    async def all_of_it() -> None:
        await manager.start()
        try:
            await life(host.box.driver(), first)
            await life(host.box.driver(), second)
        finally:
            await manager.stop()
            driver = host.box.driver()
            for state in await driver.recover():
                await driver.remove(state.id)
            await driver.close()

    asyncio.run(all_of_it())
