"""An agent's whole life, against a scripted executor and a manager on a unix socket."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.states import (
    COMPLETE,
    FAILED,
    PREPARING,
    READY,
    REJECTED,
    REMOVE,
    RUNNING,
    SHUTDOWN,
)
from api.v1 import objects_pb2, types_pb2
from tests.support.fake_executor import Exit, FakeExecutor
from tests.support.paper_node import Node, gone, task, until
from worker import task_machine
from worker.executor import Progress, TemporaryError, untold
from worker.logins import login_of
from worker.storage import Storage


def test_a_full_life(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent() as agent:
            running = await manager.reported("a", RUNNING)
            assert running.container.pid == 4711
            assert agent.tasks()["a"].status == running
            node.executor.containers["a"].end(Exit(0))
            complete = await manager.reported("a", COMPLETE)
            assert (complete.message, complete.container.exit_code) == ("finished", 0)
            states = [report.state for report in manager.reports["a"]]
            assert states == sorted(states)
            await manager.remove("a")
            await gone(node, "a")
            assert agent.tasks() == {}
        assert node.executor.steps("a") == ["prepare", "start", "wait", "shutdown", "remove"]

    node.run(scenario)


def test_an_image_that_cannot_be_had(node: Node) -> None:
    async def scenario() -> None:
        node.executor.failures["prepare"] = [SwarmError(Code.NOT_FOUND, "No such image: app:1")]
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            rejected = await node.manager.reported("a", REJECTED)
            assert (rejected.error, rejected.message) == ("No such image: app:1", "preparing")
        assert node.executor.steps("a") == ["prepare"]

    node.run(scenario)


def test_an_image_that_keeps_coming_is_told_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_machine, "TOLD_AGAIN", 0.0)

    async def scenario() -> None:
        node.executor.gates["prepare"] = asyncio.Event()
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            first = await node.manager.reported("a", PREPARING)
            assert first.message == "preparing"
            await until(lambda: "a" in node.executor.progress)
            node.executor.progress["a"](1_200_000_000, 3_400_000_000)
            await node.manager.until(
                lambda: any(
                    (report.state, report.message) == (PREPARING, "preparing: 1.2 of 3.4 GB")
                    for report in node.manager.reports["a"]
                )
            )
            node.executor.gates["prepare"].set()
            await node.manager.reported("a", RUNNING)

    node.run(scenario)


def test_a_process_that_fails(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            await node.manager.reported("a", RUNNING)
            node.executor.containers["a"].end(Exit(3))
            failed = await node.manager.reported("a", FAILED)
            assert failed.error == "task: non-zero exit (3)"
            assert failed.container.exit_code == 3

    node.run(scenario)


def test_a_breakdown_in_the_executor_fails_the_task_alone(node: Node) -> None:
    async def scenario() -> None:
        node.executor.failures["start"] = [ZeroDivisionError("oops")]
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            failed = await node.manager.reported("a", FAILED)
            assert failed.error == "internal error: ZeroDivisionError('oops')"
            await node.manager.assign(task("b"))
            await node.manager.reported("b", RUNNING)

    node.run(scenario)


def test_a_temporary_failure_is_told_and_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_machine, "RETRY_FIRST", 0.01)

    async def scenario() -> None:
        busy = TemporaryError(Code.EXHAUSTED, "too many processes")
        node.executor.failures["prepare"] = [busy] * 100
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            await node.manager.until(
                lambda: any(
                    (report.state, report.error) == (PREPARING, "too many processes")
                    for report in node.manager.reports["a"]
                )
            )
            node.executor.failures["prepare"].clear()
            running = await node.manager.reported("a", RUNNING)
            assert running.error == ""

    node.run(scenario)


class NeedsLogin(FakeExecutor):
    """Prepares nothing without the credentials that the task came with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    async def prepare(self, task: objects_pb2.Task, progress: Progress = untold) -> None:
        self.seen.append(task.spec.container.registry_auth)
        login_of(task.spec.container)
        await super().prepare(task, progress)


def test_credentials_that_a_restart_took_are_waited_for(node: Node) -> None:
    """They are on no disk; a task that needs them is not failed before a manager told them."""
    given = task("a")
    given.spec.container.registry_auth = "eyJ1c2VybmFtZSI6ICJhbm4ifQ=="
    node.executor = executor = NeedsLogin()

    async def scenario() -> None:
        executor.gates["prepare"] = asyncio.Event()
        node.manager.tasks["a"] = given
        async with node.agent():
            await until(lambda: executor.seen)
        executor.gates.clear()
        await node.manager.stop()
        async with node.agent():
            await until(lambda: len(executor.seen) > 1)
            await node.manager.start()
            await node.manager.reported("a", RUNNING)
        first, *between, last = executor.seen
        assert first == last == given.spec.container.registry_auth
        assert between
        assert first not in between

    node.run(scenario)


def test_a_retry_does_not_outwait_a_shutdown(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_machine, "RETRY_FIRST", 100.0)

    async def scenario() -> None:
        busy = TemporaryError(Code.EXHAUSTED, "too many processes")
        node.executor.failures["prepare"] = [busy] * 100
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            await node.manager.until(
                lambda: any(report.error for report in node.manager.reports["a"])
            )
            await node.manager.want("a", SHUTDOWN)
            await node.manager.reported("a", SHUTDOWN)
        assert node.executor.steps("a") == ["prepare", "shutdown"]

    node.run(scenario)


def test_ready_is_where_a_task_waits_for_more(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = task("a", READY)
        async with node.agent():
            await node.manager.reported("a", READY)
            assert node.executor.steps("a") == ["prepare"]
            await node.manager.want("a", RUNNING)
            await node.manager.reported("a", RUNNING)

    node.run(scenario)


@pytest.mark.parametrize("step", ["prepare", "start", "wait"])
def test_a_shutdown_breaks_off_the_step_under_way(node: Node, step: str) -> None:
    async def scenario() -> None:
        node.executor.gates[step] = asyncio.Event()
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            before = {"prepare": PREPARING, "start": types_pb2.TASK_STATE_STARTING, "wait": RUNNING}
            await node.manager.reported("a", before[step])
            await node.manager.want("a", REMOVE)
            stopped = await node.manager.reported("a", SHUTDOWN)
            assert stopped.message == "shutdown"
        assert node.executor.steps("a")[-2:] == [step, "shutdown"]

    node.run(scenario)


def test_a_task_that_ended_is_kept_until_the_managers_remove_it(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            await manager.want("a", SHUTDOWN)
            await manager.reported("a", SHUTDOWN)
            await manager.assign(task("b"))
            await manager.reported("b", RUNNING)
            assert "a" in node.executor.containers
            await manager.remove("a")
            await gone(node, "a")
        storage = await Storage.open(node.directory / "tasks.db")
        assert set((await storage.load()).tasks) == {"b"}
        await storage.close()

    node.run(scenario)


def test_a_removal_that_fails_is_tried_again_and_harder(node: Node) -> None:
    async def scenario() -> None:
        stuck = SwarmError(Code.UNAVAILABLE, "busy")
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            node.executor.failures |= {"shutdown": [stuck], "remove": [stuck]}
            await manager.remove("a")
            await gone(node, "a")
        steps = node.executor.steps("a")
        assert steps[3:] == ["shutdown", "terminate", "remove", "shutdown", "remove"]

    node.run(scenario)


def test_a_task_that_comes_back_waits_for_its_removal(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            gate = node.executor.gates["remove"] = asyncio.Event()
            await manager.remove("a")
            manager.reports["a"].clear()
            await manager.assign(task("a"), task("b"))
            await manager.reported("b", RUNNING)
            assert manager.reports["a"] == []
            gate.set()
            await manager.reported("a", RUNNING)
        assert "a" in node.executor.containers

    node.run(scenario)


def test_a_hundred_tasks_start_beside_each_other_and_are_reported_in_batches(node: Node) -> None:
    async def scenario() -> None:
        names = [f"t{number}" for number in range(100)]
        manager = node.manager
        manager.tasks |= {name: task(name) for name in names}
        gate = node.executor.gates["prepare"] = asyncio.Event()
        async with node.agent():
            await manager.until(lambda: all(manager.state(name) == PREPARING for name in names))
            assert node.executor.most_under_way == 100
            gate.set()
            await manager.until(lambda: all(manager.state(name) == RUNNING for name in names))
        assert max(manager.batches) > 10
        assert len(manager.batches) < 50

    node.run(scenario)


def test_stopping_leaves_containers_alone(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = task("a")
        async with node.agent():
            await node.manager.reported("a", RUNNING)
        assert node.executor.steps("a") == ["prepare", "start", "wait"]
        assert not node.executor.containers["a"].ended.is_set()

    node.run(scenario)
