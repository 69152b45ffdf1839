"""Tasks meet by name over all hosts, and apart from other networks; published ports answer."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.web_client import ASK, WEB, Client, Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")


@pytest.fixture(scope="module")
def swarm(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def run(swarm: Swarm, service: str, script: str, *, code: int | None = 0) -> list[str]:
    """What a command says in the first task of a service."""
    return swarm.ctl("service", "exec", service, "--", "sh", "-c", script, code=code).lines


def found(swarm: Swarm, name: str) -> set[str]:
    """The addresses of a name, as a task of `client` finds them."""
    lines = run(swarm, "client", f"nslookup -type=a {name}. 127.0.0.11", code=None)
    answers = "\n".join(lines).partition("Name:")[2].splitlines()
    return {line.split()[-1] for line in answers if line.startswith("Address")}


def asked(swarm: Swarm, name: str, times: int) -> list[str]:
    """Who answers to a name, one time after another; "" is nobody."""
    script = f'for i in $(seq {times}); do echo "$({ASK} {name} 80 | tail -n 1)"; done'
    return run(swarm, "client", script)


def test_a_name_leads_to_every_task_on_every_host(swarm: Swarm, front: str) -> None:
    swarm.create("web", "--network", front, TOOLS, "sh", "-c", WEB, replicas=3)
    swarm.create("client", "--network", front, TOOLS, "sh", "-c", OBEDIENT)
    names = {task.id[:12] for task in swarm.tasks("web")}
    assert {task.node for task in swarm.tasks("web")} == set(HOSTS)

    def answers() -> set[str]:
        return set(asked(swarm, "web", 6))

    swarm.until(lambda: answers() == names, "all answer")
    assert Counter(asked(swarm, "web", 30)) == dict.fromkeys(names, 10)


def test_names_of_tasks_and_aliases(swarm: Swarm, front: str) -> None:
    swarm.create("web", "--network", f"name={front},alias=shop", TOOLS, "sh", "-c", WEB, replicas=3)
    swarm.create("client", "--network", front, TOOLS, "sh", "-c", OBEDIENT)
    use = json.loads(swarm.ctl("network", "inspect", "-v", front).out)[0]["Use"]["Services"]
    tasks = next(row["Tasks"] for row in use if row["Name"] == "web")
    addresses = {task["Addresses"][0].partition("/")[0] for task in tasks}
    swarm.until(lambda: found(swarm, "tasks.web") == addresses, "all tasks are named")
    assert found(swarm, "web") == found(swarm, "shop")
    assert len(found(swarm, "web") - addresses) == 1
    assert found(swarm, "nobody") == set()


def test_networks_are_apart(swarm: Swarm, front: str) -> None:
    swarm.ctl("network", "create", "back")
    swarm.create("web", "--network", front, TOOLS, "sh", "-c", WEB, replicas=3)
    swarm.create("client", "--network", "back", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    own = run(swarm, "web", "hostname -i")
    assert found(swarm, "web") == found(swarm, "tasks.web") == set()
    for slot in (1, 2, 3):
        assert run(swarm, f"client.{slot}", f"{ASK} {own[0]} 80", code=None) == []
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "back", code=None).code == 0, "it is unused")


def test_a_published_port_answers_on_every_node_and_shows_the_client(swarm: Swarm) -> None:
    swarm.create("web", "--publish", "8080:80", TOOLS, "sh", "-c", WEB, replicas=2)
    names = {task.id[:12] for task in swarm.tasks("web")}
    client = Client(swarm)
    for host in HOSTS:
        swarm.until(lambda host=host: client.ask(host) is not None, f"{host} answers")  # type: ignore[misc]
        assert {client.ask(host) for _ in range(6)} == {(name, client.address) for name in names}


def test_scaling_under_load_fails_no_request(swarm: Swarm) -> None:
    flags = [*("--publish", "8080:80"), *("--health-cmd", f"{ASK} 127.0.0.1 80 | grep -q 200")]
    flags += ["--health-interval", "200ms", "--health-timeout", "2s"]
    swarm.create("web", *flags, TOOLS, "sh", "-c", WEB, replicas=2)
    client = Client(swarm)
    for host in HOSTS:
        swarm.until(lambda host=host: client.ask(host) is not None, f"{host} answers")  # type: ignore[misc]
    with Load(client) as load:
        for replicas in (5, 2, 4, 1):
            swarm.ctl("service", "scale", "--detach", f"web={replicas}")
            swarm.until_runs("web", replicas)
            swarm.until(lambda n=replicas: len(swarm.on("web")) == n, "others are gone")  # type: ignore[misc]
            load.goes_on()
    assert load.failed == []


def test_a_lost_node_leaves_no_stale_entry(swarm: Swarm, front: str) -> None:
    swarm.create("web", "--network", front, TOOLS, "sh", "-c", WEB, replicas=3)
    here = ("--constraint", "node.hostname==m1")
    swarm.create("client", "--network", front, *here, TOOLS, "sh", "-c", OBEDIENT)
    swarm.lab("kill", "w1")
    swarm.until_node("w1", "Down", timeout=60)
    swarm.until_runs("web", 3, timeout=60)
    swarm.until(lambda: len(found(swarm, "tasks.web")) == 3, "three are named")
    names = {task.id[:12] for task in swarm.tasks("web") if task.runs and task.node != "w1"}
    assert set(asked(swarm, "web", 12)) == names
    swarm.lab("up", *swarm.shape)
    swarm.until_node("w1", "Ready", timeout=60)
    swarm.ctl("service", "update", "--force", "--detach", "web")
    swarm.until(lambda: swarm.on("web", "w1"), "it has tasks again", timeout=60)


def test_killed_daemons_disturb_no_traffic(swarm: Swarm) -> None:
    swarm.create("web", "--publish", "8080:80", TOOLS, "sh", "-c", WEB, replicas=3)
    client = Client(swarm)
    for host in HOSTS:
        swarm.until(lambda host=host: client.ask(host) is not None, f"{host} answers")  # type: ignore[misc]
    with Load(client) as load:
        for host in HOSTS:
            swarm.kill_daemon(host)
            load.goes_on()
            swarm.start_daemon(host)
            load.goes_on()
        swarm.until(lambda: swarm.ctl("node", "ls", code=None).code == 0, "a manager answers")
        for host in HOSTS:
            swarm.until_node(host, "Ready")
        load.goes_on()
    assert load.failed == []


def test_networks_stay_while_managers_are_away(swarm: Swarm) -> None:
    swarm.create("web", "--publish", "8080:80", TOOLS, "sh", "-c", WEB, replicas=3)
    client = Client(swarm)
    for host in HOSTS:
        swarm.until(lambda host=host: client.ask(host) is not None, f"{host} answers")  # type: ignore[misc]
    with Load(client) as load:
        swarm.kill_daemon("m1")
        swarm.kill_daemon("w1")
        swarm.start_daemon("w1")
        load.goes_on()
        swarm.start_daemon("m1")
        load.goes_on()
    assert load.failed == []
    for host in HOSTS:
        swarm.until_node(host, "Ready")


def test_a_port_of_mode_host_is_its_own_nodes(swarm: Swarm) -> None:
    publish = ("--publish", "published=8080,target=80,mode=host")
    swarm.create("web", *publish, TOOLS, "sh", "-c", WEB, replicas=2)
    client = Client(swarm)
    tasks = {task.node: task.id[:12] for task in swarm.tasks("web")}
    assert len(tasks) == 2
    for host in HOSTS:
        expected = (tasks[host], client.address) if host in tasks else None
        swarm.until(lambda h=host, e=expected: client.ask(h) == e, f"{host}: {expected}")  # type: ignore[misc]


def test_a_network_that_a_node_cannot_build_is_its_tasks_error(swarm: Swarm) -> None:
    lan = ("--driver", "macvlan", "--opt", "parent=nosuch0", "--subnet", "192.168.7.0/24", "lan")
    swarm.ctl("network", "create", *lan)
    restart = ("--restart-condition", "none")
    words = ("--detach", "--name", "web", "--network", "lan", *restart, TOOLS, "sh", "-c", OBEDIENT)
    swarm.ctl("service", "create", *words)
    swarm.until(lambda: [t for t in swarm.tasks("web") if t.state == "Rejected"], "it is rejected")
    assert "no device nosuch0" in swarm.tasks("web")[0].error
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "lan", code=None).code == 0, "it is unused")
