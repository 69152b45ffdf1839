"""What lists show and leave out, whoever is asked; and what users are told of their flags."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

RUN = (TOOLS, "sh", "-c", OBEDIENT)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        yield made


def listed(swarm: Swarm, *words: str, at: str = "m1", field: str = "Name") -> list[str]:
    return swarm.ctl(*words, "--format", f"{{{{.{field}}}}}", at=at).lines


@pytest.mark.parametrize("at", ["m1", "w1"])
def test_filters_hold_wherever_one_asks(swarm: Swarm, at: str) -> None:
    swarm.until(lambda: not swarm.ctl("task", "ls", "-q").lines, "tasks of before are forgotten")
    swarm.create("web", "-l", "tier=front", "-l", "team=a", *RUN, replicas=2)
    swarm.create("db", "-l", "tier=back", "-l", "team=a", *RUN)

    def services(*filters: str) -> list[str]:
        return listed(swarm, "service", "ls", *filters, at=at)

    assert services() == ["db", "web"]
    assert services("-f", "label=team=a", "-f", "label=tier=front") == ["web"]
    assert services("-f", "label=tier=front", "-f", "label=tier=back") == []
    assert services("-f", "name=d", "-f", "name=w", "-f", "mode=replicated") == ["db", "web"]
    assert services("-f", "mode=global") == []

    def tasks(*words: str) -> list[str]:
        return listed(swarm, *words, at=at)

    assert tasks("service", "ps", "web", "-f", "name=web.2") == ["web.2"]
    assert sorted(tasks("task", "ls", "-f", "label=team=a")) == ["db.1", "web.1", "web.2"]
    assert tasks("task", "ls", "-f", "service=db", "-f", "desired-state=running") == ["db.1"]
    on_hosts = [tasks("service", "ps", "web", "-f", f"node={host}") for host in ("m1", "w1")]
    assert sorted(on_hosts[0] + on_hosts[1]) == ["web.1", "web.2"]

    def hosts(*filters: str) -> list[str]:
        return listed(swarm, "node", "ls", *filters, at=at, field="Hostname")

    assert hosts("-f", "role=worker") == ["w1"]
    assert hosts("-f", "role=worker", "-f", "role=manager", "-f", "membership=accepted") == [
        "m1",
        "w1",
    ]
    assert hosts("-f", "membership=pending") == []


def test_images_are_filtered_as_dockers(swarm: Swarm) -> None:
    swarm.create("web", *RUN, replicas=2)  # one on each host

    def images(*filters: str) -> list[str]:
        return listed(swarm, "image", "ls", *filters, field="Repository", at="m1")

    everything = images()
    assert everything
    assert images("-f", "dangling=false") == everything
    assert images("-f", "dangling=true") == everything, "services pull by digest, without a tag"
    assert images("-f", "reference=no/such*") == []
    assert images("-f", f"reference={everything[0]}") == [everything[0]]


def test_a_limit_of_swap_needs_one_of_memory(swarm: Swarm) -> None:
    create = ("service", "create", "-d", "--name", "web", "--memory-swap", "64m")
    refused = swarm.ctl(*create, *RUN, code=1)
    assert "give --limit-memory as well" in refused.err.lower().replace("\n", " ")
    swarm.create("web", "--memory-swap", "64m", "--limit-memory", "32m", *RUN)


def test_the_history_keeps_its_limit_whatever_the_restart_policy_counts(swarm: Swarm) -> None:
    swarm.ctl("swarm", "update", "--task-history-limit", "1")
    try:
        policy = ("--restart-delay", "0s", "--restart-max-attempts", "2")
        swarm.ctl("service", "create", "-d", "--name", "web", *policy, TOOLS, "false")
        swarm.until(
            lambda: [(t.desired, t.state) for t in swarm.tasks("web")] == [("Shutdown", "Failed")],
            "it was given up after its third attempt, and that alone is kept",
        )
        (last,) = swarm.tasks("web")
        before = swarm.ctl("task", "inspect", last.id, "--format", "{{json .Attempts}}").out
        assert [int(each["Count"]) for each in json.loads(before)] == [2]
    finally:
        swarm.ctl("swarm", "update", "--task-history-limit", "5")


def test_logs_since_a_line_begin_with_it(swarm: Swarm) -> None:
    script = f"for n in 1 2 3 4 5; do echo line $n; done; {OBEDIENT}"
    swarm.create("count", TOOLS, "sh", "-c", script)
    swarm.until(lambda: len(swarm.logs("count")) == 5, "5 lines")
    stamps = [line.split()[0] for line in swarm.logs("-t", "count")]
    for stamp in stamps:
        first = stamps.index(stamp)  # lines that were written at once bear one time
        found = swarm.logs("--since", stamp, "count")
        assert found == [f"line {n + 1}" for n in range(first, 5)]


def test_a_manager_listens_on_an_interface(tmp_path: Path) -> None:
    with a_swarm(tmp_path, workers=0, up_only=True, name=f"i{os.getpid()}") as fresh:
        assert "no address" in fresh.ctl("swarm", "init", "--listen-addr", "eth0:x", code=1).err
        fresh.ctl("swarm", "init", "--listen-addr", "eth0:2377")
        address = fresh.host("m1").address
        assert f"{address}:2377\n" in fresh.ctl("swarm", "join-token", "worker").out
        listening = fresh.inside("m1", "ss", "-Hltn").out
        assert f"[::ffff:{address}]:2377" in listening, "nowhere else"
        assert "*:2377" not in listening
