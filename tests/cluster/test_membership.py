"""Hosts join, leave and are removed, by the commands that an operator would type."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

COMMAND = (TOOLS, "sh", "-c", OBEDIENT)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=2) as made:
        yield made


def _nodes(swarm: Swarm) -> list[tuple[str, str, str]]:
    """(id, host, state), by host."""
    lines = swarm.ctl("node", "ls", "--format", "{{.ID}} {{.Hostname}} {{.Status}}").lines
    return sorted(((*line.split(),) for line in lines), key=lambda row: row[1:])  # type: ignore[misc]


def _join(swarm: Swarm, host: str) -> None:
    """Types on the host what `join-token` printed on the manager."""
    said = swarm.ctl("swarm", "join-token", "worker").lines
    (line,) = [line.strip() for line in said if "--token" in line]
    swarm.ctl(*shlex.split(line)[1:], at=host)


def test_a_worker_that_leaves_stops_its_tasks_and_is_down_and_may_join_again(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    (old,) = [each for each, host, _ in _nodes(swarm) if host == "w2"]
    assert "left the swarm" in swarm.ctl("swarm", "leave", at="w2").out
    assert swarm.containers("w2") == []
    swarm.until(lambda: (old, "w2", "Down") in _nodes(swarm), "w2 is down")
    swarm.until(
        lambda: {task.node for task in swarm.until_runs("web", 3)} <= {"m1", "w1"},
        "all tasks run on others",
    )
    assert len(swarm.on("web", "m1", "w1")) == 3
    assert "inactive" in swarm.ctl("system", "info", at="w2").out

    _join(swarm, "w2")
    swarm.until(
        lambda: len([n for n in _nodes(swarm) if n[1:] == ("w2", "Ready")]) == 1, "w2 is ready"
    )
    assert len(_nodes(swarm)) == 4, "the old membership stays until it is removed"
    swarm.ctl("service", "scale", "-d", "web=6")
    swarm.until_runs("web", 6)
    assert len(swarm.on("web", "w2")) >= 2

    assert "2" in swarm.ctl("node", "rm", "w2", code=1).err, "which of the two is meant?"
    swarm.ctl("node", "rm", old)
    assert [(host, state) for _, host, state in _nodes(swarm)] == [
        ("m1", "Ready"),
        ("w1", "Ready"),
        ("w2", "Ready"),
    ]


def test_a_node_is_removed_only_when_it_is_down_or_by_force(swarm: Swarm) -> None:
    assert "node w2 is not down" in swarm.ctl("node", "rm", "w2", code=1).err
    swarm.create("web", *COMMAND, replicas=3)
    swarm.ctl("node", "rm", "--force", "w2")
    assert "w2" not in swarm.nodes()
    swarm.until_runs("web", 3)
    refused = swarm.ctl("service", "ls", at="w2", code=None)
    assert refused.code in (1, 4), "who was removed is refused at once"
    assert refused.err
    swarm.ctl("swarm", "leave", at="w2")
    assert swarm.containers("w2") == []
    _join(swarm, "w2")
    swarm.until_node("w2", "Ready")


def test_a_worker_that_cannot_reach_its_manager_may_leave_nevertheless(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    swarm.lab("cut", "w2")
    swarm.ctl("swarm", "leave", at="w2")
    assert swarm.containers("w2") == []
    swarm.lab("heal", "w2")
    swarm.until_node("w2", "Down", timeout=60)
    swarm.ctl("node", "rm", "w2")
    _join(swarm, "w2")
    swarm.until_node("w2", "Ready")


def test_the_last_manager_leaves_only_by_force_and_then_nothing_is_left(tmp_path: Path) -> None:
    with a_swarm(tmp_path, workers=1, up_only=True, name=f"f{os.getpid()}") as fresh:
        made = fresh.ctl("swarm", "init")
        assert re.search(r"this node \(\w{25}\) is its manager", made.out)
        (line,) = [each.strip() for each in made.lines if "--token" in each]
        joined = fresh.ctl(*shlex.split(line)[1:], at="w1")
        assert "joined a swarm as a worker" in joined.out
        fresh.until(lambda: fresh.nodes() == {"m1": "Ready", "w1": "Ready"}, "both are ready")

        assert "last manager" in fresh.ctl("swarm", "leave", code=1).err
        assert fresh.nodes() == {"m1": "Ready", "w1": "Ready"}
        fresh.ctl("swarm", "leave", "--force")
        assert "not part of a swarm" in fresh.ctl("node", "ls", code=1).err
        assert not (fresh.host("m1").paths.state / "swarm").exists()
        assert fresh.ctl("swarm", "init").code == 0
        assert len(fresh.ctl("node", "ls", "-q").lines) == 1, "a new swarm begins empty"
        fresh.until_node("m1", "Ready")
        fresh.ctl("swarm", "leave", at="w1")
