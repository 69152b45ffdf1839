"""Services from their first task to their last, on a swarm of three hosts."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm
from tests.support.journal import BEGUN

pytestmark = pytest.mark.cluster

JOURNAL = """\
version=$1; name=$(hostname); slot=${name##*-}
trap 'echo "stop $name $version" >>/shared/journal; exit 0' TERM
echo "start $name $version" >>/shared/journal
while :; do sleep 0.05; done
"""
"""Notes when it begins and ends, in one file for all hosts: lines in the order of time."""


@pytest.fixture
def shared(swarm: Swarm) -> Path:
    """A folder that every host sees under the same path."""
    folder = swarm.host("m1").paths.directory.parent / "shared"
    folder.mkdir(exist_ok=True)
    (folder / "journal").write_text("")
    return folder


def test_the_tasks_of_a_new_service_are_spread_over_the_hosts(swarm: Swarm) -> None:
    command = (TOOLS, "sh", "-c", OBEDIENT)
    made = swarm.ctl("service", "create", "--name", "web", "--replicas", "6", *command)
    assert "web: converged" in made.err
    assert Counter(task.node for task in swarm.tasks("web")) == {"m1": 2, "w1": 2, "w2": 2}
    running = swarm.on("web")
    assert Counter(each.host for each in running) == {"m1": 2, "w1": 2, "w2": 2}
    assert [each.name for each in running] == [f"web.{slot}" for slot in range(1, 7)]
    assert {each.task_id for each in running} == {task.id for task in swarm.tasks("web")}
    replicas = swarm.ctl("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
    assert replicas.lines == ["web 6/6"]


def test_a_service_is_scaled_up_and_down_and_what_stays_is_not_touched(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=2)
    first = set(swarm.on("web"))
    swarm.ctl("service", "scale", "--detach", "web=5")
    swarm.until_runs("web", 5)
    assert first < set(swarm.on("web"))
    swarm.ctl("service", "scale", "--detach", "web=2")
    swarm.until(lambda: len(swarm.on("web")) == 2, "two containers are left")
    assert {task.state for task in swarm.tasks("web", "-f", "desired-state=running")} == {"Running"}
    swarm.ctl("service", "scale", "--detach", "web=0")
    swarm.until_runs("web", 0)


def test_a_rolling_update_replaces_one_task_after_the_other(swarm: Swarm, shared: Path) -> None:
    mount = ("--mount", f"type=bind,source={shared},target=/shared")
    swarm.create("web", *mount, *BEGUN, TOOLS, "sh", "-c", JOURNAL, "sh", "1", replicas=4)
    updated = swarm.ctl("service", "update", "--env-add", "COLOUR=red", "web")
    assert "web: converged" in updated.err
    running, seen = 0, []
    for line in (shared / "journal").read_text().splitlines():
        running += 1 if line.startswith("start") else -1
        seen.append(running)
    assert seen == [1, 2, 3, 4, *[3, 4] * 4], "one stops, then its successor starts, then the next"
    tasks = swarm.tasks("web")
    assert Counter(task.state for task in tasks) == {"Running": 4, "Shutdown": 4}
    assert [task.name for task in tasks] == [f"web.{n}" for n in (1, 1, 2, 2, 3, 3, 4, 4)]


def test_an_update_may_start_the_new_task_before_the_old_one_stops(
    swarm: Swarm, shared: Path
) -> None:
    mount = ("--mount", f"type=bind,source={shared},target=/shared")
    order = ("--update-order", "start-first", "--update-parallelism", "2")
    flags = (*mount, *order, *BEGUN)
    swarm.create("web", *flags, TOOLS, "sh", "-c", JOURNAL, "sh", "1", replicas=2)
    swarm.ctl("service", "update", "--env-add", "COLOUR=red", "web")
    words = [line.split()[0] for line in (shared / "journal").read_text().splitlines()]
    assert words[:4] == ["start"] * 4, "both new ones run before an old one goes"
    swarm.until(lambda: len(swarm.on("web")) == 2, "the old tasks are gone")


def test_an_update_to_a_broken_image_pauses_and_leaves_the_others_running(swarm: Swarm) -> None:
    swarm.create("web", "--restart-delay", "60s", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    before = set(swarm.on("web"))
    update = ("service", "update", "--image", "registry:5000/demo/none:1", "web")
    assert "did not converge: the update is paused" in swarm.ctl(*update, code=3).err
    assert len(before & set(swarm.on("web"))) == 2
    status = swarm.ctl("service", "inspect", "-f", "{{.UpdateStatus.State}}", "web").out.strip()
    assert status == "paused"
    swarm.ctl("service", "update", "--detach", "--image", TOOLS, "web")
    swarm.until_runs("web", 3)


def test_a_task_that_ends_is_followed_by_another_on_a_fresh_file_system(swarm: Swarm) -> None:
    script = "cat /mark; echo been here >/mark; sleep 0.2; exit 3"
    once = ("--restart-delay", "1s", "--restart-max-attempts", "2")
    swarm.create("web", *once, TOOLS, "sh", "-c", OBEDIENT)
    swarm.ctl("service", "update", "--detach", "--args", f"sh -c '{script}'", "web")

    def all_ended() -> bool:
        states = [(task.state, task.desired) for task in swarm.tasks("web")][:3]
        return states == [("Failed", "Shutdown")] * 3

    swarm.until(all_ended, "three attempts, and no more")
    ended = swarm.tasks("web")[:3]
    assert {task.error for task in ended} == {"task: non-zero exit (3)"}
    assert "been here" not in swarm.logs("web")


def test_a_removed_service_leaves_no_container_and_no_task(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=6)
    swarm.ctl("service", "rm", "web")
    swarm.until(lambda: not swarm.containers(), "every container is gone")
    assert "there is no service 'web'" in swarm.ctl("service", "ps", "web", code=1).err
    swarm.until(lambda: not any(_remains(swarm, host) for host in swarm.hosts()), "no file is left")
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT)


def test_a_drained_node_gives_its_tasks_away_and_gets_none_until_it_is_active(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    swarm.ctl("node", "update", "--availability", "drain", "w1")
    try:
        swarm.until(lambda: not swarm.containers("w1"), "w1 is empty")
        nodes = Counter(task.node for task in swarm.until_runs("web", 3))
        assert sorted(nodes.values()) == [1, 2], "they are spread over the two others"
    finally:
        swarm.ctl("node", "update", "--availability", "active", "w1")
    swarm.ctl("service", "scale", "--detach", "web=6")
    nodes = Counter(task.node for task in swarm.until_runs("web", 6))
    assert nodes == {"m1": 2, "w1": 2, "w2": 2}


def test_a_short_cut_costs_no_task(swarm: Swarm) -> None:
    """Shorter than the three heartbeats after which a node is down: 15 s."""
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    before = swarm.on("web")
    swarm.lab("cut", "w1")
    swarm.lab("heal", "w1")
    swarm.until_node("w1", "Ready")
    assert swarm.on("web") == before
    assert len(swarm.tasks("web")) == 3


def _remains(swarm: Swarm, host: str) -> list[str]:
    """Files and mounts of containers on a host."""
    state = swarm.host(host).paths.state / "containers" / "containers"
    mounts = swarm.inside(host, "cat", "/proc/self/mounts").lines
    return [str(path) for path in state.iterdir()] + [m for m in mounts if str(state) in m]
