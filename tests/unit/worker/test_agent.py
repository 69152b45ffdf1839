"""An agent's whole life, against a scripted executor and a manager on a unix socket."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest

from api.errors import Code, SwarmError
from api.states import (
    ACCEPTED,
    COMPLETE,
    FAILED,
    PREPARING,
    READY,
    REJECTED,
    REMOVE,
    RUNNING,
    SHUTDOWN,
)
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from tests.support.fake_executor import Exit
from tests.support.fake_manager import UNAVAILABLE
from tests.support.paper_node import Node
from worker import task_machine
from worker.executor import TemporaryError
from worker.session import Timing
from worker.storage import Storage

State: TypeAlias = types_pb2.TaskState.ValueType


def task(
    task_id: str, desired: State = RUNNING, state: State = types_pb2.TASK_STATE_ASSIGNED
) -> objects_pb2.Task:
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


def test_the_manager_hears_of_the_node_and_gets_heartbeats(node: Node) -> None:
    async def scenario() -> None:
        node.manager.period = 0.01
        async with node.agent():
            await node.manager.until(lambda: node.manager.heartbeats >= 3)
        assert [d.hostname for d in node.manager.descriptions] == ["box"]
        assert node.heard[0].session_id == "session-1"

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


def test_a_retry_does_not_outwait_a_shutdown(node: Node) -> None:
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


def test_a_manager_that_is_away_changes_nothing_and_hears_all_on_return(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {"a": task("a"), "b": task("b")}
        async with node.agent() as agent:
            await manager.reported("a", RUNNING)
            await manager.reported("b", RUNNING)
            await manager.stop()
            node.executor.containers["a"].end(Exit(5))
            await until(lambda: agent.tasks()["a"].status.state == FAILED)
            await manager.start()
            failed = await manager.reported("a", FAILED)
            assert failed.container.exit_code == 5
            assert manager.sessions == 2
        assert node.executor.steps("b") == ["prepare", "start", "wait"]

    node.run(scenario)


def test_statuses_that_were_not_acknowledged_are_sent_again(node: Node) -> None:
    async def scenario() -> None:
        node.manager.tasks["a"] = task("a")
        node.manager.refuse["UpdateTaskStatus"] = [UNAVAILABLE, UNAVAILABLE]
        async with node.agent():
            await node.manager.reported("a", RUNNING)
            assert node.manager.sessions == 3

    node.run(scenario)


def test_a_refused_session_is_tried_again(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Session"] = [UNAVAILABLE, UNAVAILABLE]
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)

    node.run(scenario)


def test_a_failed_heartbeat_ends_the_session(node: Node) -> None:
    async def scenario() -> None:
        node.manager.refuse["Heartbeat"] = [SwarmError(Code.REFUSED, "no such session")]
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 2)

    node.run(scenario)


def test_restart_with_tasks_running_ended_and_unreported(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks |= {name: task(name) for name in ("runs", "ended", "gone")}
        async with node.agent():
            for name in manager.tasks:
                await manager.reported(name, RUNNING)
        node.executor.containers["ended"].end(Exit(7))
        del node.executor.containers["gone"]
        node.executor.calls.clear()
        async with node.agent():
            ended = await manager.reported("ended", FAILED)
            assert ended.container.exit_code == 7
            lost = await manager.reported("gone", FAILED)
            assert lost.error == "no container gone"
            assert manager.state("runs") == RUNNING
        assert node.executor.steps("runs") == ["wait"]
        assert node.executor.steps("ended") == ["wait"]

    node.run(scenario)


def test_restart_while_no_manager_is_there(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
        await manager.stop()
        node.executor.containers["a"].end(Exit(9))
        async with node.agent() as agent:
            await until(lambda: agent.tasks().get("a", task("a")).status.state == FAILED)
        async with node.agent():  # the report that nobody took is on disk
            await manager.start()
            failed = await manager.reported("a", FAILED)
            assert failed.container.exit_code == 9

    node.run(scenario)


@pytest.mark.parametrize("state", [ACCEPTED, PREPARING, READY, types_pb2.TASK_STATE_STARTING])
def test_a_task_that_was_cut_off_before_it_ran_is_done_again(node: Node, state: State) -> None:
    async def scenario() -> None:
        storage = await Storage.open(node.directory / "tasks.db")
        await storage.assign([task("a")], [])
        await storage.record({"a": objects_pb2.TaskStatus(state=state)})
        await storage.close()
        node.manager.tasks["a"] = task("a", state=state)
        async with node.agent():
            await node.manager.reported("a", RUNNING)

    node.run(scenario)


def test_containers_of_unassigned_tasks_go_only_once_a_manager_has_spoken(node: Node) -> None:
    async def scenario() -> None:
        node.executor.run("stray")
        node.executor.run("mine")
        node.manager.tasks["mine"] = task("mine")
        node.manager.refuse["Session"] = [UNAVAILABLE]
        async with node.agent():
            await gone(node, "stray")
            await node.manager.reported("mine", RUNNING)
        assert node.manager.sessions == 1
        assert node.executor.steps("stray") == ["shutdown", "remove"]
        assert not node.executor.containers["mine"].ended.is_set()

    node.run(scenario)


def test_a_stray_container_is_kept_while_managers_are_away(node: Node) -> None:
    async def scenario() -> None:
        node.executor.run("stray")
        node.manager.refuse["Session"] = [UNAVAILABLE] * 3
        async with node.agent():
            await until(lambda: len(node.manager.refuse["Session"]) <= 1)
        assert node.executor.calls == []

    node.run(scenario)


def test_a_gap_in_the_assignments_asks_for_all_of_them(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent():
            await manager.reported("a", RUNNING)
            manager.lose_a_message()
            manager.tasks["lost"] = task("lost")
            await manager.assign(task("b"))
            await manager.reported("lost", RUNNING)
            await manager.reported("b", RUNNING)
            assert (manager.completes, manager.sessions) == (2, 1)

    node.run(scenario)


def test_an_assignment_stream_that_ends_ends_the_session(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.until(lambda: node.manager.completes == 1)
            await node.manager.end_assignments()
            await node.manager.until(lambda: node.manager.completes == 2)
            assert node.manager.sessions == 2

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


def test_managers_that_know_less_than_the_node_are_told(node: Node) -> None:
    async def scenario() -> None:
        manager = node.manager
        manager.tasks["a"] = task("a")
        async with node.agent() as agent:
            await manager.reported("a", RUNNING)
            manager.tasks["a"] = task("a")  # as after the restoring of an old backup
            manager.reports.clear()
            agent.reconnect()
            await manager.reported("a", RUNNING)
            assert manager.sessions == 2
        assert node.executor.steps("a") == ["prepare", "start", "wait"]

    node.run(scenario)


def test_a_node_that_changes_opens_a_new_session(node: Node) -> None:
    async def scenario() -> None:
        node.timing = Timing(description_check=0.02)
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
            node.executor.description.resources.memory_bytes = 1 << 30
            await node.manager.until(lambda: node.manager.sessions == 2)
        assert node.manager.descriptions[-1].resources.memory_bytes == 1 << 30

    node.run(scenario)


def test_new_managers_are_remembered(node: Node) -> None:
    async def scenario() -> None:
        first = dispatcher_pb2.ManagerAddress(node_id="m", address="m.sock", weight=1)
        second = dispatcher_pb2.ManagerAddress(node_id="o", address="o.sock", weight=1)
        async with node.agent():
            await node.manager.until(lambda: node.manager.sessions == 1)
            await node.manager.announce(first, second)
            await until(lambda: len(node.heard) == 2)
        await node.manager.stop()
        node.seeds = []
        node.manager.path = node.directory / "o.sock"
        await node.manager.start()
        async with node.agent() as agent:
            assert node.manager.sessions == 1
            await node.manager.until(lambda: node.manager.sessions == 2)
            assert [m.node_id for m in agent.managers()] == ["m", "o"]

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
