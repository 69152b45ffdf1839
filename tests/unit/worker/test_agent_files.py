"""An agent with secrets: tasks wait for theirs, and nothing of them outlives the agent."""

import pytest

from api.errors import Code
from api.payloads import Content
from api.states import PREPARING, RUNNING
from tests.support.paper_node import Node, task, until
from worker import task_machine
from worker.executor import TemporaryError


def test_a_task_goes_on_as_soon_as_its_secret_comes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_machine, "RETRY_FIRST", 1e6)
    monkeypatch.setattr(task_machine, "RETRY_LONGEST", 1e6)
    waiting = TemporaryError(Code.UNAVAILABLE, "secret db is not on this node yet")
    node.executor.failures["prepare"] = [waiting]
    needing = task("a")
    needing.spec.container.secrets.add(source="db", id="1")

    async def scenario() -> None:
        node.manager.tasks["a"] = needing
        async with node.agent():
            await node.manager.until(lambda: any(r.error for r in node.manager.reports["a"]))
            (waits,) = [report for report in node.manager.reports["a"] if report.error]
            assert (waits.state, waits.error) == (PREPARING, waiting.what)
            await node.manager.give("other", b"for another task")
            await node.manager.give("1", b"tell-nobody")
            assert not (await node.manager.reported("a", RUNNING)).error
            assert node.executor.held == {
                ("secret", "other"): Content(b"for another task"),
                ("secret", "1"): Content(b"tell-nobody"),
            }
        assert node.executor.steps("a")[:2] == ["prepare", "prepare"]
        assert node.executor.held == {}
        kept = [path.read_bytes() for path in node.directory.glob("tasks.db*")]
        assert any(b"app:1" in each for each in kept)
        assert not any(b"tell-nobody" in each for each in kept)

    node.run(scenario)


def test_what_the_managers_do_not_name_any_more_is_dropped(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.until(lambda: node.manager.completes == 1)
            await node.manager.give("1", b"hidden")
            await until(lambda: node.executor.held)
            await node.manager.end_assignments()
            await until(lambda: node.manager.completes > 1 and not node.executor.held)

    node.run(scenario)
