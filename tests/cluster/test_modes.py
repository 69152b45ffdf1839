"""Global services and jobs on a swarm of three hosts, with real containers."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm

pytestmark = pytest.mark.cluster

HOSTS = ["m1", "w1", "w2"]
JOB = """\
echo "start $(hostname)" >>/shared/journal
until [ $(grep -c start /shared/journal) -gt 1 ]; do sleep 0.05; done
sleep 0.5; echo "end $(hostname)" >>/shared/journal
"""
"""Notes when it begins and ends, in one file for all hosts: lines in the order of time. The first
one does not end before there is a second.
"""
FLAKY = "test -e /shared/mark && exit 0; echo tried >>/shared/journal; touch /shared/mark; exit 3"
"""Fails the first time, wherever that is."""


@pytest.fixture
def shared(swarm: Swarm) -> Path:
    """An empty folder that every host sees under the same path."""
    folder = swarm.host("m1").paths.directory.parent / "shared"
    folder.mkdir(exist_ok=True)
    for each in folder.iterdir():
        each.unlink()
    (folder / "journal").touch()
    return folder


def mount(shared: Path) -> tuple[str, str]:
    return ("--mount", f"type=bind,source={shared},target=/shared")


def create(swarm: Swarm, name: str, mode: str, *words: str, code: int = 0) -> str:
    """Creates a service and waits until it has converged; what was said meanwhile."""
    flags = ("--name", name, "--mode", mode)
    return swarm.ctl("service", "create", *flags, *words, code=code).err


def replicas(swarm: Swarm) -> list[str]:
    return swarm.ctl("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}").lines


def on_hosts(swarm: Swarm, service: str) -> list[str]:
    return [each.host for each in swarm.on(service)]


def completed(swarm: Swarm, service: str) -> int:
    return sum(task.state == "Complete" for task in swarm.tasks(service))


def test_a_global_service_runs_once_on_each_host_and_follows_what_becomes_of_them(
    swarm: Swarm,
) -> None:
    said = create(swarm, "agent", "global", TOOLS, "sh", "-c", OBEDIENT)
    assert "agent: converged" in said
    assert sorted(on_hosts(swarm, "agent")) == HOSTS
    assert replicas(swarm) == ["agent global 3/3"]
    assert swarm.ctl("service", "ls", "-q", "--filter", "mode=replicated").lines == []
    refused = swarm.ctl("service", "scale", "agent=2", code=1).err
    assert "scale can only be used with replicated" in refused.lower()
    before = {each for each in swarm.on("agent") if each.host != "w1"}
    swarm.ctl("node", "update", "--availability", "drain", "w1")
    try:
        swarm.until(lambda: not swarm.containers("w1"), "w1 is empty")
        assert replicas(swarm) == ["agent global 2/2"]
        swarm.ctl("node", "update", "--availability", "pause", "w2")
    finally:
        swarm.ctl("node", "update", "--availability", "active", "w1")
    swarm.until_runs("agent", 3)
    assert before < set(swarm.on("agent")), "the others were left alone, also while paused"
    swarm.ctl("node", "update", "--availability", "active", "w2")


def test_an_update_goes_from_host_to_host(swarm: Swarm) -> None:
    create(swarm, "agent", "global", TOOLS, "sh", "-c", OBEDIENT)
    before = set(swarm.on("agent"))
    assert "converged" in swarm.ctl("service", "update", "--env-add", "A=1", "agent").err
    assert sorted(on_hosts(swarm, "agent")) == HOSTS
    assert not before & set(swarm.on("agent"))
    assert Counter(task.state for task in swarm.tasks("agent")) == {"Running": 3, "Shutdown": 3}
    pretty = swarm.ctl("service", "inspect", "--pretty", "agent").out
    assert "Global" in pretty
    rows = dict(line.strip().split(":", 1) for line in pretty.splitlines())
    told = [rows[name].strip() for name in ("State", "Message")]
    assert told == ["completed", "update completed"]


def test_a_task_that_does_not_fit_on_its_host_says_so_and_the_others_run(swarm: Swarm) -> None:
    size = int(
        swarm.ctl("node", "inspect", "-f", "{{.Description.Resources.MemoryBytes}}", "w1").out
    )
    most = ("--reserve-memory", str(size * 6 // 10))
    swarm.create("big", *most, TOOLS, "sh", "-c", OBEDIENT)
    flags = ("--detach", "--name", "agent", "--mode", "global", *most)
    swarm.ctl("service", "create", *flags, TOOLS, "sh", "-c", OBEDIENT)
    reason = "no suitable node (insufficient memory on 1 node: "
    swarm.until(lambda: any(reason in t.error for t in swarm.tasks("agent")), "one cannot run")
    swarm.until(lambda: len(swarm.on("agent")) == 2, "the others run")
    waits = ("service", "update", "--label-add", "a=b", "--wait-timeout", "3s", "agent")
    assert reason in swarm.ctl(*waits, code=3).err
    swarm.ctl("service", "rm", "big")
    swarm.until_runs("agent", 3)


def test_a_job_runs_so_many_at_once_until_all_have_completed_and_again_by_force(
    swarm: Swarm, shared: Path
) -> None:
    flags = ("--replicas", "5", "--max-concurrent", "2", *mount(shared))
    said = create(swarm, "job", "replicated-job", *flags, TOOLS, "sh", "-c", JOB)
    assert "job: converged" in said
    assert replicas(swarm) == ["job replicated job 0/0 (5/5 completed)"]
    under_way, most = 0, 0
    words = [line.split()[0] for line in (shared / "journal").read_text().splitlines()]
    for word in words:
        under_way += 1 if word == "start" else -1
        most = max(most, under_way)
    assert Counter(words) == {"start": 5, "end": 5}
    assert most == 2
    tasks = swarm.tasks("job")
    assert {(task.desired, task.state) for task in tasks} == {("Complete", "Complete")}
    swarm.ctl("service", "update", "--force", "job")
    assert replicas(swarm) == ["job replicated job 0/0 (5/5 completed)"]
    assert completed(swarm, "job") == 10, "the first iteration is history"
    swarm.ctl("service", "scale", "job=6")
    assert completed(swarm, "job") == 11, "only what was lacking was made up"


def test_a_job_that_fails_is_tried_again_and_given_up_after_its_attempts(
    swarm: Swarm, shared: Path
) -> None:
    flags = ("--restart-delay", "1s", *mount(shared))
    create(swarm, "flaky", "replicated-job", *flags, TOOLS, "sh", "-c", FLAKY)
    assert [task.state for task in swarm.tasks("flaky")] == ["Complete", "Failed"]
    flags = ("--restart-delay", "0s", "--restart-max-attempts", "1")
    said = create(swarm, "bad", "replicated-job", *flags, TOOLS, "sh", "-c", "exit 3", code=3)
    assert "1 task failed for good; bad.1: task: non-zero exit (3)" in said
    assert [task.state for task in swarm.tasks("bad")] == ["Failed", "Failed"]


def test_a_global_job_runs_once_on_each_host_also_on_one_that_comes_later(
    swarm: Swarm, shared: Path
) -> None:
    swarm.ctl("node", "update", "--availability", "drain", "w2")
    try:
        create(swarm, "job", "global-job", *mount(shared), TOOLS, "sh", "-c", JOB)
        assert replicas(swarm) == ["job global job 0/0 (2/2 completed)"]
        assert {task.node for task in swarm.tasks("job")} == {"m1", "w1"}
    finally:
        swarm.ctl("node", "update", "--availability", "active", "w2")
    swarm.until(lambda: completed(swarm, "job") == 3, "it completed on w2 as well")
    assert Counter(task.node for task in swarm.tasks("job")) == {"m1": 1, "w1": 1, "w2": 1}


def test_a_job_has_no_update_settings(swarm: Swarm) -> None:
    said = create(swarm, "job", "global-job", "--update-delay", "1s", TOOLS, "true", code=1)
    assert "a job has no update settings" in said.lower()
