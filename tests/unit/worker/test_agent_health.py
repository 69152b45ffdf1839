"""An agent whose tasks have health checks, over a scripted executor."""

import asyncio
import logging

import pytest

from api.errors import Code, SwarmError
from api.states import (
    COMPLETE,
    FAILED,
    HEALTHY,
    RUNNING,
    SHUTDOWN,
    STARTING,
    UNHEALTHY,
    UNPROVEN,
)
from api.v1 import objects_pb2
from tests.support.fake_executor import Exit, FakeContainer
from tests.support.paper_node import Node, task, until
from worker.executor import Health

WELL = Health(HEALTHY, "")
ILL = Health(UNHEALTHY, "3 probes failed in a row: no answer")
REASON = "unhealthy: 3 probes failed in a row: no answer"


def checked(task_id: str = "a") -> objects_pb2.Task:
    made = task(task_id)
    made.spec.container.health.test.extend(("CMD", "true"))
    return made


async def started(node: Node) -> FakeContainer:
    """The container of task a, once it is reported as yet to prove itself."""
    reports = node.manager.reports["a"]
    await node.manager.until(lambda: bool(reports) and reports[-1].HasField("container"))
    assert (reports[-1].state, reports[-1].message) == (STARTING, "not healthy yet")
    assert reports[-1].container.health == UNPROVEN
    return node.executor.containers["a"]


def test_a_task_runs_once_it_is_healthy(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            container = await started(node)
            container.judge(WELL)
            running = await node.manager.reported("a", RUNNING)
            assert (running.message, running.container.health) == ("healthy", HEALTHY)
            container.end(Exit(0))
            await node.manager.reported("a", COMPLETE)
        assert node.executor.steps("a") == ["prepare", "start", "health", "health", "wait"]

    node.run(scenario)


def test_a_log_tells_each_step_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            container = await started(node)
            await until(lambda: "a" in node.executor.doubts)
            for _ in range(2):
                node.executor.doubts["a"](Health(UNPROVEN, "no database"))
            container.judge(WELL)
            await node.manager.reported("a", RUNNING)

    caplog.set_level(logging.INFO, "worker.task_runner")
    node.run(scenario)
    said = [each.getMessage() for each in caplog.records if each.name == "worker.task_runner"]
    assert said == [
        "task a is starting",
        "task a is not healthy yet",
        "task a is starting: not healthy yet: no database",
        "task a is running",
    ]
    assert {each.levelname for each in caplog.records if each.name == "worker.task_runner"} == {
        "INFO"
    }


def test_an_unhealthy_task_is_stopped_and_has_failed(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            container = await started(node)
            container.judge(WELL)
            await node.manager.reported("a", RUNNING)
            container.judge(ILL)
            failed = await node.manager.reported("a", FAILED)
            assert (failed.error, failed.container.health) == (REASON, UNHEALTHY)
            assert failed.container.exit_code == 143
        assert node.executor.steps("a")[-2:] == ["health", "shutdown"]

    node.run(scenario)


def test_one_that_never_was_healthy_too(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            (await started(node)).judge(ILL)
            assert (await node.manager.reported("a", FAILED)).error == REASON
            assert RUNNING not in {report.state for report in node.manager.reports["a"]}

    node.run(scenario)


def test_probes_end_when_the_task_is_told_to_stop(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            await started(node)
            node.executor.gates["shutdown"] = asyncio.Event()
            await node.manager.want("a", SHUTDOWN)
            await until(lambda: node.executor.steps("a")[-1] == "shutdown")
            assert node.executor.under_way == 1, "nothing but the shutdown"
            node.executor.gates["shutdown"].set()
            await node.manager.reported("a", SHUTDOWN)

    node.run(scenario)


def test_a_new_daemon_goes_on_where_the_old_one_was(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        async with node.agent():
            container = await started(node)
        async with node.agent():
            container.judge(WELL)
            await node.manager.reported("a", RUNNING)
        before = len(node.executor.steps("a"))
        async with node.agent() as agent:
            await until(lambda: node.executor.steps("a")[before:] == ["health"])
            assert agent.tasks()["a"].status.container.health == HEALTHY
            container.judge(ILL)
            await node.manager.reported("a", FAILED)
        assert node.executor.steps("a").count("start") == 1

    node.run(scenario)


def test_a_daemon_that_dies_while_it_stops_an_unhealthy_task(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = checked()
        node.executor.gates["shutdown"] = asyncio.Event()
        async with node.agent():
            (await started(node)).judge(ILL)
            await node.manager.until(lambda: node.manager.reports["a"][-1].error == REASON)
        del node.executor.gates["shutdown"]
        async with node.agent():
            assert (await node.manager.reported("a", FAILED)).error == REASON
        assert node.executor.steps("a")[-2:] == ["shutdown", "shutdown"]

    node.run(scenario)


def test_a_breakdown_of_the_probing_fails_the_task(node: Node) -> None:
    async def scenario() -> None:
        node.executor.failures["health"] = [SwarmError(Code.NOT_FOUND, "no container a")]
        node.manager.tasks["a"] = checked()
        async with node.agent():
            assert (await node.manager.reported("a", FAILED)).error == "no container a"

    node.run(scenario)
