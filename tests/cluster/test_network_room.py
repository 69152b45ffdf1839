"""Networks that are full grow; what managers hand out outlives their leader."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import TOOLS, Swarm, a_swarm
from tests.support.host_dump import dump, mentioning
from tests.support.traffic import QUIET, lookup, of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "m2", "m3")


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=3, workers=0) as made:
        yield made


def detached(swarm: Swarm, name: str, *flags: str, replicas: int = 1) -> None:
    more = ("--detach", "--name", name, "--replicas", str(replicas), *flags)
    swarm.ctl("service", "create", *more, TOOLS, "sh", "-c", QUIET)


def inspect(swarm: Swarm, name: str, at: str = "m1") -> Any:
    (shown,) = json.loads(swarm.ctl("network", "inspect", "-v", name, at=at).out)
    return shown


def addresses(swarm: Swarm, network: str, at: str = "m1") -> list[str]:
    """All that are somebody's in a network."""
    use = inspect(swarm, network, at)["Use"]
    found: list[str] = []
    for row in use.get("Services", []):
        found += row.get("Addresses", [])
        found += [each for task in row.get("Tasks", []) for each in task["Addresses"]]
    return found


def test_a_full_network_says_so_and_grows(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "--subnet", "10.66.0.0/28", "small")
    detached(swarm, "web", "--network", "small", replicas=9)
    swarm.until_runs("web", 9)
    assert "network small: more than 70%" in swarm.ctl("network", "ls").err
    swarm.ctl("service", "scale", "--detach", "web=20")

    def waits() -> set[str]:
        return {task.error for task in swarm.tasks("web") if task.state == "New"}

    (why,) = swarm.until(lambda: waits() - {""}, "tasks wait and say why")
    assert why.startswith("network small: 10.66.0.0/28 has no free address")
    subnet = why.partition("--add-subnet ")[2].split()[0]
    before = {each.task_id for each in swarm.on("web")}
    swarm.ctl("network", "update", "--add-subnet", subnet, "small")
    swarm.until_runs("web", 20)
    assert before <= {each.task_id for each in swarm.on("web")}
    asker = next(each for each in swarm.on("web") if each.task_id in before)
    swarm.until(lambda: len(lookup(of(asker), "tasks.web")) == 20, "all are named")
    given = addresses(swarm, "small")
    assert len(given) == len(set(given)) == 21
    swarm.ctl("service", "scale", "--detach", "web=1")
    swarm.until(lambda: len(addresses(swarm, "small")) == 2, "the others' are given up")
    swarm.until(lambda: not inspect(swarm, "small")["Use"].get("AddressesResting"), "all had rest")
    gone = [each.partition("/")[0] for each in set(given) - set(addresses(swarm, "small"))]
    for host in HOSTS:
        assert mentioning(dump(swarm, host), *gone) == []
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "small", code=None).code == 0, "it is unused")


def test_the_leader_is_lost_while_a_service_grows(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "front")
    detached(swarm, "web", "--network", "front", "--publish", "8080:80", replicas=3)
    swarm.until_runs("web", 3)
    virtual = lookup(of(swarm.on("web")[0]), "web")
    form = "{{.Hostname}} {{.ManagerStatus}}"
    rows = [line.split() for line in swarm.ctl("node", "ls", "--format", form).lines]
    (leader,) = [words[0] for words in rows if words[1:] == ["Leader"]]
    at = next(host for host in HOSTS if host != leader)
    swarm.ctl("service", "scale", "--detach", "web=20", at=at)
    swarm.kill_daemon(leader)
    others = [host for host in HOSTS if host != leader]

    def on_others() -> bool:
        return len(swarm.on("web")) >= 20 and all(swarm.on("web", host) for host in others)

    # A new leader gives a node half a minute to be heard of before its tasks run elsewhere.
    swarm.until(on_others, "twenty tasks run", timeout=90)
    swarm.start_daemon(leader)
    swarm.until(lambda: swarm.nodes(at).get(leader) == "Ready", "its node is back", timeout=60)
    swarm.until(lambda: len(swarm.on("web")) == 20, "twenty tasks run, and none besides")
    swarm.until(
        lambda: sum(t.runs for t in swarm.tasks("web", at=at)) == 20, "twenty are known to run"
    )
    swarm.until(lambda: len(addresses(swarm, "front", at)) == 21, "who is gone has given his up")
    given = addresses(swarm, "front", at)
    assert len(set(given)) == 21
    bare = {each.partition("/")[0] for each in given}
    first = {host: there[0] for host in HOSTS if (there := swarm.on("web", host))}
    assert len(first) > 1
    for host, container in first.items():
        here = of(container)
        swarm.until(
            lambda h=here: lookup(h, "tasks.web") == bare - virtual,  # type: ignore[misc]
            f"{host} names all",
        )
        assert lookup(here, "web") == virtual
