"""Tasks that cannot run: the reason is told, nobody runs in circles, and what waits is placed."""

import itertools
import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, Task, a_swarm

pytestmark = pytest.mark.cluster

DELAY = 1.0


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        yield made


MISSING = {
    "image": (["registry:5000/demo/none:1"], "No such image: registry:5000/demo/none:1"),
    "registry": (["registry:5001/demo/none:1"], "registry:5001"),
    "command": ([TOOLS, "/bin/nothing"], "`/bin/nothing` not found"),
    "user": (["--user", "nobody-at-all", TOOLS, "true"], "nobody-at-all"),
    "source": (["--mount", "type=bind,source=/no/dir,target=/x", TOOLS, "true"], "/no/dir"),
}
"""Flags and image of services that cannot run, and what is told."""


def test_what_is_missing_is_told_and_tried_again_after_the_restart_delay(swarm: Swarm) -> None:
    delay = ("--restart-delay", f"{DELAY:g}s")
    for name, (words, _) in MISSING.items():
        swarm.ctl("service", "create", "--detach", "--name", name, *delay, *words)

    def attempts() -> dict[str, list[Task]]:
        found = _rejected(swarm, *MISSING)
        return found if all(len(found[name]) >= 3 for name in MISSING) else {}

    tried = swarm.until(attempts, "three attempts of each")
    for name, (_, reason) in MISSING.items():
        ended = tried[name]
        assert all(reason in task.error for task in ended), ended
        # From start to start, since an attempt itself may last, as one with a deaf registry does.
        moments = _starts(swarm, ended)
        assert len(moments) >= 3, (name, moments)
        # The first successor is prepared at once, so that it could start when its delay is over.
        pauses = [after - before for before, after in itertools.pairwise(moments)]
        assert all(pause > DELAY - 0.2 for pause in pauses[1:]), (name, pauses)
    assert not swarm.containers()


def test_a_task_without_enough_memory_waits_says_why_and_is_placed_later(swarm: Swarm) -> None:
    half = f"{_memory(swarm) * 6 // 10}"
    swarm.create("first", "--reserve-memory", half, TOOLS, "sh", "-c", OBEDIENT, replicas=2)
    words = ("--reserve-memory", half, TOOLS, "sh", "-c", OBEDIENT)
    swarm.ctl("service", "create", "--detach", "--name", "second", *words)
    reason = "no suitable node (insufficient memory on 2 nodes: "
    swarm.until(lambda: reason in _errors(swarm, "second"), "it says why it waits")
    late = swarm.ctl("service", "scale", "--wait-timeout", "2s", "second=1", code=3)
    assert reason in late.err
    assert "did not converge within 2s" in late.err
    (waiting,) = swarm.tasks("second")
    assert (waiting.state, waiting.node) == ("Pending", "")
    assert waiting.error.startswith(reason)
    swarm.ctl("service", "scale", "--detach", "first=1")
    (placed,) = swarm.until_runs("second", 1)
    assert placed.id == waiting.id
    assert placed.error == ""


def test_a_task_waits_while_every_node_is_drained(swarm: Swarm) -> None:
    for host in swarm.hosts():
        swarm.ctl("node", "update", "--availability", "drain", host)
    try:
        quick = (TOOLS, "sh", "-c", OBEDIENT)
        swarm.ctl("service", "create", "--detach", "--name", "web", *quick)
        reason = "not available for new tasks"
        swarm.until(lambda: reason in _errors(swarm, "web"), "it says why it waits")
        late = ("service", "scale", "--wait-timeout", "2s", "web=1")
        assert reason in swarm.ctl(*late, code=3).err
    finally:
        for host in swarm.hosts():
            swarm.ctl("node", "update", "--availability", "active", host)
    swarm.until_runs("web", 1)


def _rejected(swarm: Swarm, *names: str) -> dict[str, list[Task]]:
    """Of each of these services."""
    ended = [task for task in swarm.tasks(*names) if task.state == "Rejected"]
    return {
        name: [task for task in ended if task.name.rpartition(".")[0] == name] for name in names
    }


def _errors(swarm: Swarm, name: str) -> str:
    """What is said of the tasks of a service."""
    return "; ".join(task.error for task in swarm.tasks(name))


def _memory(swarm: Swarm) -> int:
    path = "{{.Description.Resources.MemoryBytes}}"
    return int(swarm.ctl("node", "inspect", "-f", path, "w1").out)


def _starts(swarm: Swarm, tasks: list[Task]) -> list[float]:
    """When the tasks were made, in order; without those that have left the history meanwhile."""
    shown = swarm.ctl("task", "inspect", *(task.id for task in tasks), code=None)
    moments = [datetime.fromisoformat(task["CreatedAt"]) for task in json.loads(shown.out)]
    return sorted(moment.timestamp() for moment in moments)
