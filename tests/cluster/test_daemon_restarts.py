"""Daemons end and come back: containers do not care, and no end and no line is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

COUNT = "trap 'exit 0' TERM; i=0; while :; do echo $i; i=$((i + 1)); sleep 0.02; done"
UNTIL_TOLD = "while ! [ -e /shared/$(hostname) ]; do sleep 0.05; done; echo farewell; exit 7"
"""Ends once there is a file of the container's name."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config")) as made:
        yield made


@pytest.fixture
def shared(swarm: Swarm) -> Path:
    """A folder that every host sees under the same path."""
    folder = swarm.host("m1").paths.directory.parent / "shared"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


def _one_shots(swarm: Swarm, shared: Path) -> None:
    """A service whose tasks end with 7 as soon as they are told: one on each host."""
    mount = ("--mount", f"type=bind,source={shared},target=/shared,readonly")
    once = ("--restart-condition", "none", "--hostname", "all")
    swarm.create("shot", *mount, *once, TOOLS, "sh", "-c", UNTIL_TOLD, replicas=3)


def _end(swarm: Swarm, shared: Path) -> None:
    (shared / "all").touch()
    swarm.until(lambda: not swarm.on("shot"), "the containers have ended")


def _is_told(swarm: Swarm) -> None:
    """Until every end is known, with its code."""
    error = "task: non-zero exit (7)"
    ended = ("Failed", error)
    swarm.until(
        lambda: [(t.state, t.error) for t in swarm.tasks("shot")] == [ended] * 3,
        "the exit codes of all three are told",
        timeout=60,
    )
    swarm.until(lambda: swarm.logs("shot") == ["farewell"] * 3, "their last words are kept")


def test_a_killed_worker_daemon_finds_its_containers_untouched(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=6)
    before = swarm.on("web")
    for _ in range(3):
        swarm.kill_daemon("w1")
        assert swarm.on("web") == before
        swarm.start_daemon("w1")
        swarm.until_node("w1", "Ready")
    assert swarm.on("web") == before
    assert len(swarm.tasks("web")) == 6, "no task was replaced"
    swarm.ctl("service", "rm", "web")
    swarm.until(lambda: not swarm.containers(), "it can still stop them")


def test_what_ended_while_its_daemon_was_dead_is_told_with_its_exit_code(
    swarm: Swarm, shared: Path
) -> None:
    _one_shots(swarm, shared)
    swarm.kill_daemon("w1")
    _end(swarm, shared)
    swarm.start_daemon("w1")
    _is_told(swarm)


def test_what_ended_while_the_manager_was_away_is_told_later(swarm: Swarm, shared: Path) -> None:
    _one_shots(swarm, shared)
    before = swarm.on("shot")
    swarm.kill_daemon("m1")
    assert swarm.on("shot") == before, "workers go on without a manager"
    _end(swarm, shared)
    swarm.start_daemon("m1")
    _is_told(swarm)


def test_what_ended_while_every_daemon_was_dead_is_told_later(swarm: Swarm, shared: Path) -> None:
    _one_shots(swarm, shared)
    for host in swarm.hosts():
        swarm.kill_daemon(host)
    _end(swarm, shared)
    for host in swarm.hosts():
        swarm.start_daemon(host)
    _is_told(swarm)


def test_no_line_of_a_log_is_lost_or_doubled_when_the_daemon_is_killed(swarm: Swarm) -> None:
    swarm.create("count", "--stop-grace-period", "1s", TOOLS, "sh", "-c", COUNT)
    (task,) = swarm.tasks("count")
    for _ in range(2):
        swarm.kill_daemon(task.node)
        swarm.start_daemon(task.node)
    for host in {task.node, "m1"}:
        swarm.until_node(host, "Ready")
    seen = len(swarm.logs("count"))
    swarm.until(lambda: len(swarm.logs("count")) > seen + 20, "it goes on writing")
    lines = swarm.logs("count")
    assert lines == [str(number) for number in range(len(lines))]


def test_daemons_that_are_stopped_in_order_leave_their_containers_running(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    before = swarm.on("web")
    for host in swarm.hosts():
        swarm.lab("daemon", host, "stop")
        assert "down (0)" in swarm.lab("daemon", host, "status").out
    assert swarm.on("web") == before
    assert "cannot reach swarmd" in swarm.ctl("node", "ls", code=4).err
    for host in swarm.hosts():
        swarm.start_daemon(host)
    for host in swarm.hosts():
        swarm.until_node(host, "Ready")
    assert swarm.on("web") == before
    assert [task.id for task in swarm.until_runs("web", 3)] == [each.task_id for each in before]


def test_a_task_that_should_run_is_replaced_when_it_ended_under_a_dead_daemon(
    swarm: Swarm, shared: Path
) -> None:
    flags = ("--mount", f"type=bind,source={shared},target=/shared", "--restart-delay", "0s")
    script = "trap 'exit 0' TERM; while ! [ -e /shared/end ]; do sleep 0.05; done; exit 9"
    swarm.create("web", *flags, TOOLS, "sh", "-c", script)
    (first,) = swarm.tasks("web")
    swarm.kill_daemon(first.node)
    (shared / "end").touch()
    swarm.until(lambda: not swarm.on("web"), "it has ended")
    (shared / "end").unlink()
    swarm.start_daemon(first.node)
    swarm.until(lambda: swarm.tasks("web")[0].id != first.id, "another follows")
    swarm.until_runs("web", 1)
    ended = next(task for task in swarm.tasks("web") if task.id == first.id)
    assert (ended.state, ended.error) == ("Failed", "task: non-zero exit (9)")
