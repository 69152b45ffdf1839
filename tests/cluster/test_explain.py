"""Why tasks are where they are, or wait: what is said, and that doing what is proposed helps."""

import json
import shlex
from typing import Any

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm

pytestmark = pytest.mark.cluster

QUICK = (TOOLS, "sh", "-c", OBEDIENT)


def make_waiting(swarm: Swarm, name: str, *words: str) -> str:
    """A service whose only task waits; the task's id, once it says why."""
    swarm.ctl("service", "create", "--detach", "--name", name, *words, *QUICK)
    swarm.until(
        lambda: [t.error for t in swarm.tasks(name) if t.error], f"the task of {name} says why"
    )
    (waiting,) = swarm.tasks(name)
    return waiting.id


def explained(swarm: Swarm, task_id: str) -> dict[str, Any]:
    (found,) = json.loads(swarm.ctl("task", "explain", "--format", "json", task_id).out)
    return dict(found)


def carry_out(swarm: Swarm, found: dict[str, Any]) -> list[str]:
    """Does what is proposed first; the commands."""
    steps = [step["Command"] for step in found["Proposals"][0]["Steps"]]
    for command in steps:
        detached = ["--detach"] if command[0] == "service" else []
        swarm.ctl(*command[:2], *detached, *command[2:])
    return [shlex.join(command) for command in steps]


def test_a_missing_label_is_proposed_and_with_it_the_task_runs(swarm: Swarm) -> None:
    words = ("--constraint", "node.labels.zone==a", "--constraint", "node.hostname==w2")
    waiting = make_waiting(swarm, "web", *words)
    text = swarm.ctl("task", "explain", waiting).out
    assert text.startswith("web.1 waits: no suitable node (scheduling constraints not satisfied")
    assert "swarmctl node update --label-add zone=a w2" in text
    assert (
        "web: 0 of 1 tasks run; 1 wait: no suitable node"
        in swarm.ctl("service", "explain", "web").out
    )
    assert carry_out(swarm, explained(swarm, waiting)) == ["node update --label-add zone=a w2"]
    swarm.until_runs("web", 1)
    assert swarm.ctl("service", "explain", "web").lines[0] == "web: its task runs"
    swarm.ctl("node", "update", "--label-rm", "zone", "w2")


def test_too_many_cpus_are_told_with_numbers_and_fewer_are_proposed(swarm: Swarm) -> None:
    waiting = make_waiting(swarm, "big", "--reserve-cpu", "1000")
    found = explained(swarm, waiting)
    verdicts = [v for n in found["Nodes"] for v in n["Verdicts"] if v["Filter"] == "cpu"]
    assert len(verdicts) == 3
    assert all(v["Text"].startswith("needs 1000 CPUs; ") and "Passes" not in v for v in verdicts)
    (command,) = carry_out(swarm, found)
    assert command.startswith("service update --reserve-cpu ")
    swarm.until_runs("big", 1)


def test_a_drained_node_is_the_nearest_and_activating_it_helps(swarm: Swarm) -> None:
    swarm.ctl("node", "update", "--availability", "drain", "w1")
    waiting = make_waiting(swarm, "here", "--constraint", "node.hostname==w1")
    found = explained(swarm, waiting)
    (nearest,) = [each for each in found["Nodes"] if each["Hostname"] == "w1"]
    assert [v["Filter"] for v in nearest["Verdicts"] if "Passes" not in v] == ["availability"]
    assert found["Nodes"][0] == nearest
    assert carry_out(swarm, found) == ["node update --availability active w1"]
    swarm.until_runs("here", 1)


def test_a_placed_task_tells_the_ranking_of_that_moment_from_any_manager(swarm: Swarm) -> None:
    swarm.create("first", "--constraint", "node.hostname==w1", *QUICK, replicas=2)
    swarm.create("web", "--constraint", "node.role==worker", *QUICK)
    (placed,) = swarm.tasks("web")
    assert placed.node == "w2"
    found = explained(swarm, placed.id)
    assert "and it had the fewest tasks (0, the next 2)" in found["Answer"]
    ranking = found["Placement"]["Ranking"]
    assert (ranking["Nodes"], ranking["Candidates"]) == (3, 2)
    assert ranking["Refusals"] == [{"Filter": "constraint", "Nodes": 1}]
    names = [found["Hostnames"][each["NodeID"]] for each in ranking["Best"]]
    assert names == ["w2", "w1"]
    # A worker has it answered by a manager, as other reads.
    asked = swarm.ctl("task", "explain", "-f", "{{.Answer}}", "web.1", at="w1")
    assert asked.out.strip() == found["Answer"]
