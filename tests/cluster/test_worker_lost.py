"""A worker is lost and comes back. Heartbeats every two seconds, so that nobody waits for long, and
yet no other node counts as lost because its host has too much to do for two of them.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.test_published_ports import published, targets, until_all_answer
from tests.support import wires
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.traffic import of, outside, serving

pytestmark = pytest.mark.cluster

COMMAND = (TOOLS, "sh", "-c", OBEDIENT)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=2) as made:
        yield made


def _runs_without(swarm: Swarm, host: str, replicas: int) -> None:
    """Until all tasks of `web` run elsewhere, and the host is down."""
    swarm.until_node(host, "Down")
    nodes = _until_elsewhere(swarm, host, replicas)
    others = [each for each in swarm.hosts() if each != host]
    assert len(swarm.on("web", *others)) == replicas
    assert max(nodes.values()) - min(nodes.values()) <= 1, "they are spread over the others"


def _until_elsewhere(swarm: Swarm, host: str, replicas: int) -> Counter[str]:
    """On which nodes all tasks of `web` run, once none is meant to on this: it is known to be lost
    a moment before they are.
    """

    def elsewhere() -> Counter[str]:
        nodes = Counter(task.node for task in swarm.until_runs("web", replicas))
        return nodes if host not in nodes else Counter()

    return swarm.until(elsewhere, f"all tasks run on others than {host}")


def _states(swarm: Swarm, host: str) -> list[str]:
    """In which states a node has been, as far as the manager remembers."""
    words = ("--since", "0", "--until", "0s", "--filter", "type=node", "--format", "json")
    told = [json.loads(line)["Actor"]["Attributes"] for line in swarm.ctl("events", *words).lines]
    return [each["state.new"] for each in told if each.get("name") == host and "state.new" in each]


def test_the_tasks_of_a_worker_that_loses_power_run_elsewhere(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=6)
    kept = set(swarm.on("web", "m1", "w1"))
    swarm.lab("kill", "w2")
    _runs_without(swarm, "w2", 6)
    assert kept < set(swarm.on("web", "m1", "w1")), "the others are not touched"
    lost = [task for task in swarm.tasks("web") if task.node == "w2"]
    assert len(lost) == 2
    assert {task.desired for task in lost} == {"Shutdown"}
    swarm.lab("start", "w2")
    swarm.until_node("w2", "Ready")
    assert not swarm.on("web", "w2"), "what was lost is not started again"
    swarm.ctl("service", "scale", "-d", "web=9")
    assert Counter(task.node for task in swarm.until_runs("web", 9))["w2"] == 3


def test_a_node_that_is_asked_is_lost_in_mid_flow(swarm: Swarm) -> None:
    published(swarm, "--publish", "8080:80", "--constraint", "node.hostname!=w2", replicas=2)
    by = targets(swarm)
    with serving(swarm, "web"):
        until_all_answer(swarm)
        source = ("", 25_000)
        other = wires.connect(outside(swarm), by["w1"], 8080, source=source)
        lost = wires.connect(outside(swarm), by["w2"], 8080, source=source)
        with other, lost:
            name, _ = wires.said(lost)
            wires.said(other)
            assert wires.echoes(lost)
            swarm.lab("kill", "w2")
            # The client comes by another node, with the same port, to both tasks.
            with wires.connect(outside(swarm), by["m1"], 8080, source=source) as again:
                wires.said(again)
                assert wires.echoes(again)
            swarm.until_node("w2", "Down")
            assert wires.echoes(other)
            held = {each.task_id[:12]: each for each in swarm.on("web")}
            swarm.until(lambda: wires.established(of(held[name])) <= 1, "the task has let go of it")
    swarm.lab("start", "w2")
    swarm.until_node("w2", "Ready")


def test_a_worker_that_was_cut_off_stops_its_replaced_tasks_when_it_is_back(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=6)
    old = set(swarm.on("web", "w2"))
    assert len(old) == 2
    swarm.lab("cut", "w2")
    _runs_without(swarm, "w2", 6)
    assert set(swarm.on("web", "w2")) == old, "it goes on by itself"
    swarm.lab("heal", "w2")
    swarm.until(lambda: not swarm.on("web", "w2"), "its old tasks are stopped")
    swarm.until_node("w2", "Ready")
    assert swarm.doubled() == []
    assert len(swarm.on("web")) == 6

    def ends() -> set[str]:
        states = {task.id: task.state for task in swarm.tasks("web")}
        return {states[each.task_id] for each in old}

    swarm.until(lambda: ends() <= {"Shutdown", "Orphaned"}, "it has told of their end")


def test_a_worker_whose_daemon_is_gone_is_unknown_at_once_then_down_then_ready(
    swarm: Swarm,
) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    (old,) = swarm.on("web", "w1")
    swarm.kill_daemon("w1")
    _runs_without(swarm, "w1", 3)
    assert _states(swarm, "w1")[-2:] == ["unknown", "down"]
    assert swarm.on("web", "w1") == [old], "its container runs on"
    swarm.start_daemon("w1")
    swarm.until(lambda: not swarm.on("web", "w1"), "the container that was replaced is stopped")
    swarm.until_node("w1", "Ready")
    assert swarm.doubled() == []


def test_a_manager_that_stands_still_takes_nobody_for_lost(swarm: Swarm) -> None:
    """It hears nobody for longer than the three heartbeats after which a node is down."""
    swarm.create("web", *COMMAND, replicas=6)
    before = swarm.on("web")
    lost = [_states(swarm, host).count("down") for host in swarm.hosts()]
    swarm.lab("daemon", "m1", "pause")
    time.sleep(8)
    swarm.lab("daemon", "m1", "resume")
    swarm.until(lambda: set(swarm.nodes().values()) == {"Ready"}, "it has heard of all")
    assert [_states(swarm, host).count("down") for host in swarm.hosts()] == lost
    assert swarm.on("web") == before


def test_a_daemon_that_stands_still_is_replaced_and_catches_up_when_it_goes_on(
    swarm: Swarm,
) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    swarm.lab("pause", "w1")
    try:
        _runs_without(swarm, "w1", 3)
    finally:
        swarm.lab("resume", "w1")
    swarm.until(lambda: not swarm.on("web", "w1"), "its old task is stopped")
    swarm.until_node("w1", "Ready")
    assert len(swarm.on("web")) == 3
    assert swarm.doubled() == []


def test_what_is_changed_while_a_worker_is_away_holds_when_it_is_back(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    swarm.create("old", *COMMAND, replicas=3)
    swarm.lab("cut", "w1")
    swarm.until_node("w1", "Down")
    swarm.ctl("service", "rm", "old")
    former = {task.id for task in swarm.tasks("web")}
    change = ("--update-monitor", "0s", "--env-add", "COLOUR=red")
    swarm.ctl("service", "update", "-d", *change, "web")
    state = ("service", "inspect", "-f", "{{.UpdateStatus.State}}", "web")
    swarm.until(lambda: swarm.ctl(*state).out.strip() == "completed", "all are replaced")
    assert not former & {task.id for task in swarm.until_runs("web", 3)}
    assert len(swarm.on("old", "w1")) == 1
    swarm.lab("heal", "w1")
    swarm.until(lambda: not swarm.containers("w1"), "nothing old is left on w1")
    swarm.until_node("w1", "Ready")
    assert len(swarm.on("web")) == 3


def test_a_worker_that_never_comes_back_is_removed(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=3)
    swarm.lab("kill", "w1")
    swarm.until_node("w1", "Down")
    swarm.ctl("node", "rm", "w1")
    assert sorted(swarm.nodes()) == ["m1", "w2"]
    swarm.until(
        lambda: {task.node for task in swarm.until_runs("web", 3)} == {"m1", "w2"},
        "all run on those that are left",
    )
