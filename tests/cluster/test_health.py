"""Health checks: what they hold back, what they end, and what survives a daemon."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, Task

pytestmark = pytest.mark.cluster

CHECKED = "registry:5000/demo/checked:1"
"""Is healthy while there is a file /well/up."""
COMMAND = ("sh", "-c", OBEDIENT)
STRICT = ("--health-retries", "2", "--restart-delay", "3s")


@pytest.fixture
def well(swarm: Swarm) -> Path:
    """The file that makes tasks healthy."""
    folder = swarm.host("m1").paths.directory.parent / "well"
    folder.mkdir(exist_ok=True)
    (folder / "up").unlink(missing_ok=True)
    return folder / "up"


def _flags(well: Path) -> tuple[str, ...]:
    return "--mount", f"type=bind,source={well.parent},target=/well,readonly"


def _container(swarm: Swarm, task: Task) -> dict[str, Any]:
    (found,) = json.loads(swarm.ctl("task", "inspect", task.id).out)
    container: dict[str, Any] = found["Status"]["Container"]
    return container


def _states(swarm: Swarm, service: str) -> list[str]:
    """State and health of each task, as `service ps` says it, without the time."""
    form = "{{.CurrentState}}"
    lines = swarm.ctl("service", "ps", "--format", form, service).lines
    return [" ".join((line.split()[0], line.partition("ago")[2].strip())) for line in lines]


def test_a_task_is_starting_until_the_check_of_its_image_succeeds(swarm: Swarm, well: Path) -> None:
    words = (*_flags(well), CHECKED, *COMMAND)
    swarm.ctl("service", "create", "--detach", "--name", "web", "--replicas", "2", *words)
    waiting = ["Starting (health: starting)"] * 2
    swarm.until(lambda: _states(swarm, "web") == waiting, "both wait for their check")
    why = "not healthy yet: it is not well"
    swarm.until(lambda: [each.error for each in swarm.tasks("web")] == [why] * 2, "both say why")
    before = swarm.on("web")
    assert len(before) == 2
    replicas = ("service", "ls", "--format", "{{.Replicas}}")
    assert swarm.ctl(*replicas).lines == ["0/2"]
    well.touch()
    tasks = swarm.until_runs("web", 2)
    assert _states(swarm, "web") == ["Running (healthy)"] * 2
    assert swarm.on("web") == before
    container = _container(swarm, tasks[0])
    assert container["Health"] == "healthy"
    assert container["HealthLog"][-2]["Output"] == "it is not well\n"
    assert "ExitCode" not in container["HealthLog"][-1]


def test_an_unhealthy_task_is_stopped_and_replaced(swarm: Swarm, well: Path) -> None:
    well.touch()
    swarm.create("web", *_flags(well), *STRICT, CHECKED, *COMMAND)
    (first,) = swarm.on("web")
    well.unlink()

    def failed() -> list[Task]:
        return [task for task in swarm.tasks("web") if task.state == "Failed"]

    ended = swarm.until(failed, "it has failed")[-1]
    assert ended.id == first.task_id
    assert ended.error == "unhealthy: 2 probes failed in a row: it is not well"
    container = _container(swarm, ended)
    assert (container["Health"], container["HealthLog"][-1]["ExitCode"]) == ("unhealthy", 1)
    assert "ExitCode" not in container, "it was asked to end, and obeyed"
    well.touch()
    (task,) = swarm.until_runs("web", 1)
    assert task.id != first.task_id
    assert first not in swarm.on("web")


def test_a_daemon_that_comes_back_goes_on_probing(swarm: Swarm, well: Path) -> None:
    well.touch()
    swarm.create("web", *_flags(well), *STRICT, CHECKED, *COMMAND, replicas=4)
    before = swarm.on("web")
    swarm.kill_daemon("w1")
    swarm.start_daemon("w1")
    swarm.until_node("w1", "Ready")
    assert swarm.on("web") == before
    assert [task.runs for task in swarm.tasks("web")] == [True] * 4
    well.unlink()
    swarm.until(lambda: not set(before) & set(swarm.on("web")), "all four are stopped")


def test_an_update_that_never_becomes_healthy_pauses_and_the_others_go_on(swarm: Swarm) -> None:
    often = ("--health-interval", "100ms", "--restart-delay", "60s")
    swarm.create("web", "--health-cmd", "true", *often, TOOLS, *COMMAND, replicas=3)
    before = set(swarm.on("web"))
    failing = "echo no database; exit 1"
    update = swarm.ctl("service", "update", "--health-cmd", failing, "web", code=3)
    assert "did not converge: the update is paused" in update.err
    assert len(before & set(swarm.on("web"))) == 2
    error = "unhealthy: 3 probes failed in a row: no database"
    assert [task.error for task in swarm.tasks("web") if task.state == "Failed"] == [error]
    swarm.ctl("service", "update", "--detach", "--no-healthcheck", "web")
    swarm.until_runs("web", 3)
    assert _states(swarm, "web")[0] == "Running "


def test_a_probe_that_hangs_is_killed_and_tells_so(swarm: Swarm) -> None:
    hangs = ("--health-cmd", "sleep 777", "--health-timeout", "300ms", "--health-interval", "10ms")
    flags = (*hangs, "--health-retries", "1", "--restart-condition", "none")
    swarm.ctl("service", "create", "--detach", "--name", "web", *flags, TOOLS, *COMMAND)
    error = "unhealthy: 1 probe failed: no answer within 0.3 s"
    swarm.until(
        lambda: [(task.state, task.error) for task in swarm.tasks("web")] == [("Failed", error)],
        "it has failed",
    )
    assert not swarm.containers()


def test_a_task_may_do_without_the_check_of_its_image(swarm: Swarm) -> None:
    swarm.create("web", "--no-healthcheck", CHECKED, *COMMAND)
    assert _states(swarm, "web") == ["Running "]
