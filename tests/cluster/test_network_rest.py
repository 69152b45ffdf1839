"""An address that is given up is nobody's until every node that is up has heard of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import wires
from tests.support.cluster import TOOLS, Swarm, a_swarm
from tests.support.host_dump import dump, mentioning
from tests.support.traffic import QUIET, of, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

W2, OTHERS = "node.hostname==w2", "node.hostname!=w2"


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    # The steps of `freed`, of which a drain in vain takes five seconds, end long before a node that
    # stands still counts as down: that is two heartbeats, less a tenth, if one was just due.
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=15) as made:
        yield made


@pytest.fixture
def full(swarm: Swarm) -> Iterator[set[str]]:
    """A network without a free address, by its one task on w2 and four on other nodes; theirs."""
    swarm.ctl("network", "create", "--subnet", "10.66.0.0/29", "small")
    create(swarm, "keeper", W2, 1)
    swarm.until_runs("keeper", 1)
    create(swarm, "old", OTHERS, 4)
    swarm.until_runs("old", 4)
    yield addresses(swarm, "old")
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "small", code=None).code == 0, "it is unused")


def create(swarm: Swarm, name: str, where: str, replicas: int) -> None:
    """A service that has addresses by its tasks alone, and a moment's time to end."""
    flags = ["--detach", "--network", "small", "--endpoint-mode", "dnsrr", "--constraint", where]
    flags += ["--name", name, "--replicas", str(replicas)]
    swarm.ctl("service", "create", *flags, TOOLS, "sh", "-c", QUIET)


def use(swarm: Swarm) -> Any:
    """What `network inspect -v` says of who has which address."""
    (shown,) = json.loads(swarm.ctl("network", "inspect", "-v", "small").out)
    return shown["Use"]


def addresses(swarm: Swarm, service: str) -> set[str]:
    (row,) = [each for each in use(swarm)["Services"] if each["Name"] == service]
    return {each.partition("/")[0] for task in row["Tasks"] for each in task["Addresses"]}


def freed(swarm: Swarm) -> None:
    """The tasks of `old` go while w2 stands still, and another service wants their addresses."""
    swarm.lab("daemon", "w2", "pause")
    swarm.ctl("service", "rm", "old")
    swarm.until(lambda: not swarm.on("old"), "the tasks have ended")
    swarm.until(lambda: use(swarm).get("AddressesResting"), "their addresses rest")
    create(swarm, "new", OTHERS, 3)  # one is for the successor of keeper, should w2 be down
    waits = "network small: 10.66.0.0/29 has no free address"

    def told() -> bool:
        return {task.error.startswith(waits) for task in swarm.tasks("new")} == {True}

    swarm.until(told, "the new tasks wait for an address")
    assert swarm.nodes()["w2"] != "Down"
    assert not swarm.on("new")


def test_a_node_that_has_not_heard_keeps_addresses_from_others(
    swarm: Swarm, full: set[str]
) -> None:
    try:
        freed(swarm)
    finally:
        swarm.lab("daemon", "w2", "resume")
    swarm.until_runs("new", 3, timeout=90)  # nodes say with their heartbeats what they have heard
    assert addresses(swarm, "new") <= full
    assert len(swarm.on("keeper", "w2")) == 1


def test_a_node_that_is_down_keeps_none_and_hears_all_before_it_serves_again(
    swarm: Swarm, full: set[str]
) -> None:
    swarm.until(
        lambda: all(mentioning(dump(swarm, "w2"), each) for each in full),
        "w2 knows where the old tasks are",
    )
    try:
        freed(swarm)
        before = mentioning(dump(swarm, "w2"), *full)
        assert before
        swarm.until_node("w2", "Down", timeout=90)
        swarm.until_runs("new", 3)
        assert addresses(swarm, "new") <= full
        assert mentioning(dump(swarm, "w2"), *full) == before, "w2 has not heard of it"
    finally:
        swarm.lab("daemon", "w2", "resume")
    swarm.until_runs("keeper", 1)
    swarm.until(lambda: len(swarm.on("keeper", "w2")) == 1, "its former container is gone")
    (keeper,) = swarm.on("keeper", "w2")
    with serving(swarm, "new"):
        found = {wires.ask(of(keeper), address)[0] for address in addresses(swarm, "new")}
        assert found == {each.task_id[:12] for each in swarm.on("new")}
