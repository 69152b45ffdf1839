"""Containers that are no tasks: beside the tasks of a swarm, and in its networks."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from api.errors import Code, SwarmError
from tests.cluster.test_networks import asked, found, run
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.lone_containers import LoneContainers
from tests.support.traffic import ASK, WEB
from tests.support.web_client import Client

ON_M1 = ("--constraint", "node.hostname==m1")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


@pytest.fixture
def mesh(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "--attachable", "mesh")
    yield "mesh"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "mesh", code=None).code == 0, "it is unused")


def held(swarm: Swarm, network: str) -> dict[str, list[str]]:
    """Containers in a network that are no tasks, with their addresses, as `inspect` tells."""
    use = json.loads(swarm.ctl("network", "inspect", "-v", network).out)[0]["Use"]
    return {row["Name"]: row["Addresses"] for row in use.get("Containers", [])}


def until_told(swarm: Swarm, lone: LoneContainers, script: str, words: str) -> None:
    """Until a script ends with these words in the container `box`: a server that is asked has to
    have begun.
    """
    swarm.until(lambda: lone.says("box", script)[-1:] == [words], f"{words} answers")


def test_a_container_meets_services_in_an_attachable_network(swarm: Swarm, mesh: str) -> None:
    swarm.create("web", "--network", mesh, TOOLS, "sh", "-c", WEB, replicas=3)
    swarm.create("client", "--network", mesh, *ON_M1, TOOLS, "sh", "-c", OBEDIENT)
    names = {task.id[:12] for task in swarm.tasks("web")}
    with LoneContainers(swarm, "w1") as lone:
        box = lone.run("box", WEB, f"{mesh}=guest")
        own = box.networks[0].addresses[0].partition("/")[0]

        def answers() -> Counter[str]:
            script = f'for i in 1 2 3 4 5 6; do echo "$({ASK} web 80 | tail -n 1)"; done'
            return Counter(lone.says("box", script))

        swarm.until(lambda: answers() == dict.fromkeys(names, 2), "it reaches all tasks")
        for name in ("box", "guest", box.id[:12]):
            swarm.until(lambda name=name: found(swarm, name) == {own}, f"{name} is found")  # type: ignore[misc]
        swarm.until(lambda: set(asked(swarm, "guest", 3)) == {box.id[:12]}, "it answers")
        assert held(swarm, mesh) == {"box": list(box.networks[0].addresses)}
        assert "box" in swarm.ctl("network", "rm", mesh, code=1).err
        assert swarm.ctl("node", "ps", "--format", "{{.Name}}", "w1").out.count("box") == 0
        swarm.kill_daemon("w1")
        try:
            assert set(asked(swarm, "guest", 3)) == {box.id[:12]}
        finally:
            swarm.start_daemon("w1")
        swarm.until_node("w1", "Ready")
        assert lone.inspect("box") == box
        swarm.until(lambda: answers() == dict.fromkeys(names, 2), "it reaches them still")
    swarm.until(lambda: found(swarm, "guest") == set(), "its name is gone")
    swarm.until(lambda: held(swarm, mesh) == {}, "its address is given back")


def test_a_running_container_is_connected_and_disconnected(swarm: Swarm, mesh: str) -> None:
    swarm.create("web", "--network", mesh, TOOLS, "sh", "-c", WEB, replicas=2)
    swarm.create("client", "--network", mesh, *ON_M1, TOOLS, "sh", "-c", OBEDIENT)
    with LoneContainers(swarm, "w2") as lone:
        lone.run("box", WEB)
        assert lone.says("box", f"{ASK} web 80") == []
        [subnet] = swarm.ctl("network", "ls", "-f", "name=mesh", "--format", "{{.Subnets}}").lines
        address = subnet.rpartition(".")[0] + ".200"
        words = ("--ip", address, "--alias", "guest", mesh, "box")
        swarm.ctl("network", "connect", *words, at="w2")
        swarm.until(lambda: lone.says("box", f"{ASK} web 80"), "it reaches the service")
        swarm.until(lambda: found(swarm, "guest") == {address}, "it is found")
        swarm.until(lambda: asked(swarm, "guest", 1) != [""], "its server has begun, and answers")
        swarm.ctl("network", "disconnect", mesh, "box", at="w2")
        assert lone.says("box", f"{ASK} web 80") == []
        swarm.until(lambda: found(swarm, "guest") == set(), "its name is gone")
        assert (
            "is not connected"
            in swarm.ctl("network", "disconnect", mesh, "box", at="w2", code=1).err
        )
        swarm.ctl("network", "disconnect", "-f", mesh, "box", at="w2")


def test_a_network_that_is_not_attachable_is_for_tasks(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "front")
    with LoneContainers(swarm, "w1") as lone:
        with pytest.raises(SwarmError) as caught:
            lone.run("box", WEB, "front")
        assert caught.value.code is Code.REFUSED
        assert "attachable" in str(caught.value)
        assert not lone.inspect("box").pid
    swarm.ctl("network", "rm", "front")


def test_a_container_publishes_a_port_of_its_host(swarm: Swarm) -> None:
    with LoneContainers(swarm, "m1") as lone:
        box = lone.run("box", WEB, ports=(8080,))
        client = Client(swarm)
        expected = (box.id[:12], client.address)
        swarm.until(lambda: client.ask("m1") == expected, "it answers, and sees the client")
        assert client.ask("w1") is None


def test_a_service_on_its_nodes_default_bridge(swarm: Swarm) -> None:
    swarm.create("web", "--network", "bridge", *ON_M1, TOOLS, "sh", "-c", WEB)
    [task] = swarm.tasks("web")
    with LoneContainers(swarm, "m1") as lone:
        lone.run("box", WEB)
        [own] = run(swarm, "web", "hostname -i")
        until_told(swarm, lone, f"{ASK} {own} 80", task.id[:12])
        assert lone.says("box", f"{ASK} web 80") == []
        swarm.kill_daemon("m1")
        swarm.start_daemon("m1")
        assert lone.says("box", f"{ASK} {own} 80")[-1] == task.id[:12]
    # Who is to be asked next for a place in a network has found it again.
    swarm.until(lambda: set(swarm.nodes().values()) == {"Ready"}, "the manager hears of all")


def test_containers_stay_when_their_host_leaves_the_swarm(swarm: Swarm, mesh: str) -> None:
    token = swarm.ctl("swarm", "join-token", "-q", "worker").out.strip()
    manager = f"{swarm.host('m1').address}:2377"
    client = Client(swarm)
    with LoneContainers(swarm, "w2") as lone:
        box = lone.run("box", WEB, "bridge", mesh, ports=(8080,))
        expected = (box.id[:12], client.address)
        swarm.until(lambda: client.ask("w2") == expected, "it answers")
        swarm.ctl("swarm", "leave", at="w2")
        assert client.ask("w2") == expected
        assert [each.name for each in lone.inspect("box").networks] == ["bridge"]
        swarm.ctl("network", "create", "-d", "bridge", "own", at="w2")
        alone = lone.run("alone", WEB, "own")
        assert "own" in swarm.ctl("network", "ls", "--format", "{{.Name}}", at="w2").lines
        swarm.ctl("network", "connect", "own", "box", at="w2")
        until_told(swarm, lone, f"{ASK} alone 80", alone.id[:12])
        with pytest.raises(SwarmError, match="in no swarm"):
            lone.run("lost", WEB, mesh)
        swarm.ctl("node", "rm", "--force", "w2")  # that it is down after a while is shown elsewhere
        swarm.until(lambda: held(swarm, mesh) == {}, "its address is given back")
        address = swarm.host("w2").address
        swarm.ctl("swarm", "join", "--advertise-addr", address, "--token", token, manager, at="w2")
        swarm.until_node("w2", "Ready")
        assert client.ask("w2") == expected
        swarm.ctl("network", "connect", mesh, "box", at="w2")
        assert list(held(swarm, mesh)) == ["box"]
    swarm.ctl("network", "rm", "own", at="w2")
