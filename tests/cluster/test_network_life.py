"""Requests while tasks, nodes and daemons come and go, and what hosts know afterwards."""

import asyncio
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from api.new_ids import new_id
from api.v1 import control_pb2, control_pb2_grpc, specs_pb2
from tests.support import wires
from tests.support.cluster import TOOLS, Swarm, a_swarm
from tests.support.host_dump import dump, mentioning, settled
from tests.support.pulse import EVERY, Pulse
from tests.support.traffic import (
    HEALTH,
    QUIET,
    WEB,
    Load,
    fails,
    get,
    lookup,
    of,
    outside,
    serving,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")
_REST = 3.0
"""Seconds without a change after which a host counts as at rest."""
Asks = dict[str, Callable[[], object]]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def client_on(swarm: Swarm, host: str, *, patience: float = wires.PATIENCE) -> Callable[[], object]:
    """A container there; a request of it to the service web, by its name."""
    here = ("--constraint", f"node.hostname=={host}")
    swarm.create("client", "--network", "front", *here, TOOLS, "sh", "-c", QUIET)
    (client,) = swarm.on("client")

    def ask() -> object:
        for address in lookup(of(client), "web"):
            return get(of(client), address, patience=patience)
        raise OSError("there is no such name")

    return ask


def through(swarm: Swarm, *hosts: str, patience: float = wires.PATIENCE) -> Asks:
    """Requests from outside to port 8080 of nodes."""

    def ask(address: str) -> Callable[[], object]:
        return lambda: get(outside(swarm), address, 8080, patience=patience)

    return {name: ask(swarm.host(name).address) for name in hosts or HOSTS}


def until_all_answer(swarm: Swarm, asks: Asks) -> None:
    for name, ask in asks.items():
        swarm.until(lambda ask=ask: not fails(ask), f"there is an answer through {name}")  # type: ignore[misc]


def web(swarm: Swarm, *flags: str, replicas: int) -> None:
    """A web server that tells its health, in network front and on port 8080."""
    more = ("--network", "front", "--publish", "8080:80", *HEALTH, *flags)
    swarm.create("web", *more, TOOLS, "sh", "-c", WEB, replicas=replicas)


def test_scaling_under_load_fails_no_request(swarm: Swarm, front: str) -> None:
    web(swarm, replicas=2)
    asks = {**through(swarm), "a container": client_on(swarm, "w1")}
    until_all_answer(swarm, asks)
    with Load(asks) as load:
        for replicas in (5, 2, 4, 1):
            swarm.ctl("service", "scale", "--detach", f"web={replicas}")
            swarm.until_runs("web", replicas)
            swarm.until(lambda n=replicas: len(swarm.on("web")) == n, "others are gone")  # type: ignore[misc]
            load.goes_on(30)
    assert load.failed == []


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_tasks_are_replaced_under_load_and_no_request_fails(
    swarm: Swarm, front: str, order: str
) -> None:
    web(swarm, "--update-order", order, "--update-monitor", "0s", replicas=3)
    asks = {**through(swarm), "a container": client_on(swarm, "w1")}
    until_all_answer(swarm, asks)
    before = {each.task_id for each in swarm.on("web")}
    with Load(asks) as load:
        swarm.ctl("service", "update", "--env-add", "A=b", "web")
        assert not before & {each.task_id for each in swarm.on("web")}
        load.goes_on(30)
    assert load.failed == []


def test_a_service_gets_another_network_under_load(swarm: Swarm, front: str) -> None:
    swarm.ctl("network", "create", "back")
    web(swarm, "--update-order", "start-first", "--update-monitor", "0s", replicas=2)
    asks = {**through(swarm), "a container": client_on(swarm, "w1")}
    until_all_answer(swarm, asks)
    with Load(asks) as load:
        swarm.ctl("service", "update", "--network-add", "back", "web")
        load.goes_on(20)
        swarm.ctl("service", "update", "--network-rm", "back", "web")
        load.goes_on(20)
    assert load.failed == []
    swarm.until(lambda: swarm.ctl("network", "rm", "back", code=None).code == 0, "it is unused")


def test_a_lost_node_is_forgotten_everywhere(swarm: Swarm, front: str) -> None:
    web(swarm, replicas=3)
    given_up = wires.SILENT  # those that were led to the lost node
    asks = through(swarm, "m1", "w2", patience=given_up)
    asks["a container"] = client_on(swarm, "m1", patience=given_up)
    until_all_answer(swarm, asks)
    (lost,) = swarm.on("web", "w1")
    stack = f"swarm-task-{lost.task_id}"
    shown = swarm.inside("w1", "ip", "-n", stack, "-o", "addr").lines
    words = [line.split() for line in shown if line.split()[1] in ("eth0", "ing0")]
    stale = [each[3].partition("/")[0] for each in words if each[2] == "inet"]
    links = swarm.inside("w1", "ip", "-n", stack, "-o", "link").lines
    stale += [line.split("link/ether ")[1].split()[0] for line in links if "eth0" in line]
    for host in HOSTS:
        swarm.until(lambda h=host: mentioning(dump(swarm, h), *stale), f"{host} knows of it")  # type: ignore[misc]
    place = swarm.host("w1").address

    def forgotten() -> bool:
        return not any(mentioning(dump(swarm, host), *stale, place) for host in ("m1", "w2"))

    with Load(asks) as load:
        swarm.lab("kill", "w1")
        swarm.until_node("w1", "Down", timeout=60)
        # That one request succeeds says nothing: another task may have been its turn.
        swarm.until(forgotten, "the others have forgotten it")
        swarm.until(lambda: all(not fails(ask) for ask in asks.values()), "requests succeed again")
        print(f"a node is lost: {load.lost()}")
        steady = time.monotonic()  # a request that was made before may yet fail
        swarm.until_runs("web", 3, timeout=60)
        load.goes_on(30)
    late = [each for each in load.failed if each[0] >= steady]
    assert forgotten()
    swarm.lab("up", *swarm.shape)
    swarm.until_node("w1", "Ready", timeout=60)
    swarm.until(lambda: all(not fails(ask) for ask in through(swarm).values()), "it leads on")
    for host in HOSTS:
        # The one that was lost begins with what it knew.
        swarm.until(
            lambda h=host: not mentioning(dump(swarm, h), *stale),  # type: ignore[misc]
            f"{host} has forgotten the lost task",
        )
    assert late == []


def at_rest(swarm: Swarm) -> dict[str, list[str]]:
    """What the kernel of each host has, once it changes no more: what came or went just before is
    carried out a moment after its containers are there, or gone.
    """

    def looked() -> dict[str, list[str]]:
        return {host: settled(dump(swarm, host)) for host in HOSTS}

    def unchanged() -> dict[str, list[str]]:
        earlier = looked()
        time.sleep(_REST)
        now = looked()
        return now if now == earlier else {}

    return swarm.until(unchanged, "the hosts are at rest")


def test_killed_daemons_disturb_no_traffic(swarm: Swarm, front: str) -> None:
    web(swarm, replicas=3)
    client_on(swarm, "w1")
    (client,) = swarm.on("client")
    (virtual,) = lookup(of(client), "web")
    asks = {**through(swarm), "a container": lambda: get(of(client), virtual)}
    until_all_answer(swarm, asks)
    # Of a server that has patience: that of WEB ends a connection that is silent for a minute.
    with (
        serving(swarm, "web", 81),
        wires.connect(of(client), virtual, 81) as held,
        Load(asks) as load,
    ):
        wires.said(held)
        before = at_rest(swarm)
        swarm.kill_daemon("m1")
        load.goes_on(20)
        for host in ("w1", "w2"):  # no manager is there
            swarm.kill_daemon(host)
            swarm.start_daemon(host)
            load.goes_on(20)
        swarm.start_daemon("m1")
        swarm.until(lambda: swarm.ctl("node", "ls", code=None).code == 0, "a manager answers")
        for host in HOSTS:
            swarm.until_node(host, "Ready")
        load.goes_on(20)
        for host in HOSTS:
            assert settled(dump(swarm, host)) == before[host]
        assert wires.echoes(held)
    assert load.failed == []


def test_names_while_a_daemon_is_killed_and_started(swarm: Swarm, front: str) -> None:
    web(swarm, replicas=3)
    client_on(swarm, "w1")
    (client,) = swarm.on("client")
    found = lookup(of(client), "web")
    with Pulse(of(client), "web") as asking:
        asking.goes_on()
        asyncio.run(swarm.host("w1").kill_daemon())
        asyncio.run(swarm.host("w1").start_daemon())
        asking.goes_on()
        swarm.until_node("w1", "Ready")
        asking.goes_on()
    (gap,) = asking.gaps() or [0]
    print(f"{gap} questions in a row, {EVERY * gap:.2f} s, met a daemon that was started anew")
    assert asking.answers == {frozenset(found)}


def quiet(name: str, network: str, port: int, replicas: int) -> control_pb2.CreateServiceRequest:
    """A service whose containers do nothing; port 0: it publishes none."""
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = name
    spec.replicated.replicas = replicas
    spec.task.container.image = TOOLS
    spec.task.container.command.extend(("sh", "-c", QUIET))
    spec.task.networks.add(target=network)
    if port:
        spec.endpoint.ports.add(target_port=80, published_port=port)
    return control_pb2.CreateServiceRequest(spec=spec, request_id=new_id())


def test_many_services_come_and_leave_nothing(swarm: Swarm) -> None:
    before = at_rest(swarm)
    networks = ("one", "two", "three")
    for name in networks:
        swarm.ctl("network", "create", name)
    replicas = {f"s{n}": 4 if n < 10 else 3 for n in range(30)}

    socket = swarm.host("m1").paths.swarm_socket
    with grpc.insecure_channel(f"unix:{socket}") as channel:  # thirty commands would take longer
        control = control_pb2_grpc.ControlStub(channel)
        for n, (name, many) in enumerate(replicas.items()):
            request = quiet(name, networks[n % 3], 8100 + n if n < 5 else 0, many)
            control.CreateService(request, timeout=30)
    swarm.until(lambda: len(swarm.containers()) == 100, "a hundred tasks run", timeout=120)
    asker = swarm.on("s0")[0]
    for n in range(0, 30, 3):
        swarm.until(
            lambda n=n: len(lookup(of(asker), f"tasks.s{n}")) == replicas[f"s{n}"],  # type: ignore[misc]
            f"all tasks of s{n} are named",
        )
        assert len(lookup(of(asker), f"s{n}")) == 1
    swarm.ctl("service", "scale", "--detach", *(f"{name}=0" for name in replicas))
    swarm.until(lambda: not swarm.containers(), "nothing runs", timeout=120)
    swarm.ctl("service", "rm", *replicas)
    for name in networks:
        swarm.until(
            lambda name=name: swarm.ctl("network", "rm", name, code=None).code == 0,  # type: ignore[misc]
            f"{name} is unused",
        )
    for host in HOSTS:
        swarm.until(
            lambda h=host: settled(dump(swarm, h)) == before[h],  # type: ignore[misc]
            f"{host} is as before",
        )
