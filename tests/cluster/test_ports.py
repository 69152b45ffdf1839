"""Published ports in every form that is not plain: on one address, chosen by a node, sticky, seen
as the node; and what a service says of them by name.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from api.published import CHOSEN
from tests.support import wires
from tests.support.cluster import TOOLS, Swarm
from tests.support.traffic import (
    QUIET,
    fails,
    lookup,
    of,
    of_host,
    outside,
    serving,
    until_all_know,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")
LOCALHOST = "127.0.0.1"


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def quiet(swarm: Swarm, name: str, *flags: str, replicas: int = 1) -> None:
    """A service whose containers do nothing."""
    swarm.create(name, *flags, TOOLS, "sh", "-c", QUIET, replicas=replicas)


def names(swarm: Swarm, service: str) -> set[str]:
    """What the servers in its containers call themselves."""
    return {each.task_id[:12] for each in swarm.on(service)}


def until_answers(swarm: Swarm, source: Path, address: str, port: int) -> None:
    swarm.until(
        lambda: not fails(lambda: wires.ask(source, address, port)), f"{address}:{port} answers"
    )


def refuses(source: Path, address: str, port: int) -> bool:
    """Whether there is an answer at once, and it is no."""
    return "refused" in fails(lambda: wires.ask(source, address, port))


def start_anew(swarm: Swarm, host: str) -> None:
    swarm.kill_daemon(host)
    swarm.start_daemon(host)
    swarm.until(lambda: swarm.ctl("node", "ls", code=None).code == 0, "a manager answers")
    swarm.until_node(host, "Ready")


def test_a_port_on_one_address_answers_there_alone(swarm: Swarm) -> None:
    by = {host: swarm.host(host).address for host in HOSTS}
    client = outside(swarm)
    quiet(swarm, "web", "--publish", f"{by['w1']}:8080:80", replicas=2)
    quiet(swarm, "local", "--publish", f"{LOCALHOST}:8080:80")
    quiet(swarm, "other", "--publish", f"published=8080,target=80,host_ip={by['w2']}")
    taken = swarm.ctl("service", "create", "--publish", "8080:80", TOOLS, code=1)
    assert "service" in taken.err
    assert "8080" in taken.err

    def is_right() -> None:
        seen = {wires.ask(client, by["w1"], 8080) for _ in range(4)}
        assert seen == {(name, swarm.host("registry").address) for name in names(swarm, "web")}
        assert {wires.ask(client, by["w2"], 8080)[0]} == names(swarm, "other")
        assert refuses(client, by["m1"], 8080)
        for host in HOSTS:
            assert {wires.ask(of_host(swarm, host), LOCALHOST, 8080)[0]} == names(swarm, "local")
        assert wires.ask(of_host(swarm, "w1"), by["w1"], 8080)[0] in names(swarm, "web")
        assert refuses(of_host(swarm, "m1"), by["m1"], 8080)

    until_all_know(swarm)
    with serving(swarm, "web"), serving(swarm, "local"), serving(swarm, "other"):
        until_answers(swarm, client, by["w1"], 8080)
        until_answers(swarm, client, by["w2"], 8080)
        for host in HOSTS:
            until_answers(swarm, of_host(swarm, host), LOCALHOST, 8080)
        is_right()
        with wires.connect(client, by["w1"], 8080) as held:
            wires.said(held)
            start_anew(swarm, "w1")
            is_right()
            assert wires.echoes(held)


def test_a_port_that_a_node_chose_is_shown_kept_and_given_back(swarm: Swarm) -> None:
    quiet(swarm, "probe", "--publish", "target=80,mode=host")
    (task,) = swarm.on("probe")
    by, client = swarm.host(task.host).address, outside(swarm)

    def shown() -> str:
        flags = ("--filter", "desired-state=running", "--format", "{{.Ports}}")
        return swarm.ctl("service", "ps", *flags, "probe").out.strip()

    chosen = int(shown().partition(":")[2].partition("-")[0])
    assert chosen in CHOSEN
    assert shown().endswith(f":{chosen}->80/tcp")
    (inspected,) = json.loads(swarm.ctl("task", "inspect", task.task_id).out)
    (port,) = inspected["Status"]["Container"]["Ports"]
    assert port["PublishedPort"] == chosen
    with serving(swarm, "probe"):
        assert wires.ask(client, by, chosen) == (
            task.task_id[:12],
            swarm.host("registry").address,
        )
        for host in HOSTS:
            if host != task.host:
                assert refuses(client, swarm.host(host).address, chosen)
        start_anew(swarm, task.host)
        assert wires.ask(client, by, chosen)[0] == task.task_id[:12]
        assert f":{chosen}->80/tcp" in shown()
        words = ("--name", "web", "--publish", f"{chosen}:80", TOOLS)
        refused = swarm.ctl("service", "create", *words, code=1)
        assert f"port {chosen}" in refused.err
        assert "probe.1" in refused.err
        assert task.host in refused.err
    swarm.ctl("service", "rm", "probe")
    swarm.until(lambda: refuses(client, by, chosen), "the port is closed")
    gone = ("task", "inspect", task.task_id)
    swarm.until(lambda: swarm.ctl(*gone, code=None).code != 0, "its node has told that it is gone")
    quiet(swarm, "web", "--publish", f"{chosen}:80")
    with serving(swarm, "web"):
        until_answers(swarm, client, by, chosen)


def test_a_sticky_client_always_meets_the_same_task(swarm: Swarm, front: str) -> None:
    quiet(
        swarm, "web", "--network", front, "--publish", "8080:80", "--sticky", "source-ip",
        replicas=3,
    )  # fmt: skip
    quiet(swarm, "client", "--network", front, replicas=6)
    (virtual,) = lookup(of(swarm.on("client")[0]), "web")
    by = {host: swarm.host(host).address for host in HOSTS}
    base = swarm.host("registry").address.rpartition(".")[0]
    clients = [f"{base}.{number}" for number in range(230, 246)]
    for address in clients:
        swarm.inside("registry", "ip", "addr", "add", f"{address}/32", "dev", "eth0")

    def met(address: str, source: str) -> str:
        with wires.connect(outside(swarm), address, 8080, source=(source, 0)) as stream:
            return wires.said(stream)[0]

    until_all_know(swarm)
    with serving(swarm, "web"):
        for address in by.values():
            until_answers(swarm, outside(swarm), address, 8080)
        through = [
            {met(address, source) for address in by.values() for _ in range(3)}
            for source in clients
        ]
        within = [
            {wires.ask(of(each), virtual)[0] for _ in range(5)} for each in swarm.on("client")
        ]
    for found in (through, within):
        assert all(len(each) == 1 for each in found), found
        assert 1 < len(set.union(*found)) <= 3, found
    for address in clients:
        swarm.inside("registry", "ip", "addr", "del", f"{address}/32", "dev", "eth0")


def test_a_task_sees_the_node_where_a_port_says_so(swarm: Swarm) -> None:
    hidden = [
        flag
        for protocol in ("tcp", "udp")
        for flag in ("--publish", f"published=8080,target=80,protocol={protocol},source=snat")
    ]
    plain = ("--publish", "8081:80", "--publish", "8081:80/udp")
    quiet(swarm, "web", *hidden, *plain, replicas=2)
    (shown,) = json.loads(swarm.ctl("network", "inspect", "-v", "ingress").out)
    places = {row["Name"]: row["Addresses"][0].partition("/")[0] for row in shown["Use"]["Nodes"]}
    client, own = outside(swarm), swarm.host("registry").address
    until_all_know(swarm)
    with serving(swarm, "web"):
        for host in HOSTS:
            address = swarm.host(host).address
            until_answers(swarm, client, address, 8080)
            for ask in (wires.ask, wires.ask_datagram):
                for port, seen in ((8080, places[host]), (8081, own)):
                    found = Counter(ask(client, address, port) for _ in range(4))
                    assert found == {(name, seen): 2 for name in names(swarm, "web")}


def test_a_container_is_told_where_a_port_is(swarm: Swarm, front: str) -> None:
    ports = ("--publish", "8080:80", "--publish", "published=5353,target=53,protocol=udp")
    quiet(swarm, "web", "--network", front, *ports, replicas=2)
    quiet(swarm, "client", "--network", front)

    def places(name: str) -> set[tuple[str, ...]]:
        """Priority, weight, port and host, as a container's own program shows them."""
        script = f"nslookup -type=srv {name} 127.0.0.11"
        said = swarm.ctl("service", "exec", "client", "--", "sh", "-c", script, code=None).lines
        answers = [line.partition("service = ")[2] for line in said]
        return {tuple(answer.split()) for answer in answers if answer}

    tasks = {f"{task.name}.{task.id}" for task in swarm.tasks("web")}
    for name in ("_80._tcp.web", "_8080._tcp.web", f"_80._tcp.web.{front}"):
        assert places(name) == {("0", "1", "80", "web")}
    assert places("_5353._udp.web") == {("0", "1", "53", "web")}
    swarm.until(
        lambda: places("_80._tcp.tasks.web") == {("0", "1", "80", task) for task in tasks},
        "all tasks are named",
    )
    assert places("_81._tcp.web") == places("_80._udp.web") == set()


def test_the_last_port_that_goes_is_refused_at_once(swarm: Swarm) -> None:
    """Connections that exist go on until the task ends; nobody waits for an answer in vain."""
    script = "trap 'sleep 2; exit 0' TERM; sleep 100000 & wait"
    swarm.create("web", "--publish", "8080:80", TOOLS, "sh", "-c", script)
    client, by = outside(swarm), {host: swarm.host(host).address for host in HOSTS}
    (task,) = swarm.on("web")
    with serving(swarm, "web"):
        for address in by.values():
            until_answers(swarm, client, address, 8080)
        held = {host: wires.connect(client, address, 8080) for host, address in by.items()}
        try:
            for stream in held.values():
                wires.said(stream)
            swarm.ctl("service", "rm", "web")
            for host, address in by.items():
                swarm.until(partial(refuses, client, address, 8080), f"{host} has closed it")
            ended = {}
            for host, stream in held.items():
                ended[host] = fails(partial(wires.echoes, stream))
                assert not ended[host] or not swarm.on("web"), (host, ended)
            said = []
            while swarm.on("web"):
                said += [fails(partial(wires.ask, client, each, 8080)) for each in by.values()]
            swarm.until(
                lambda: not any("ing0" in swarm.inside(h, "ip", "-br", "link").out for h in HOSTS),
                "no host is in the ingress network any more",
            )
            said += [fails(partial(wires.ask, client, each, 8080)) for each in by.values()]
            assert [why for why in said if "refused" not in why] == []
            for host, stream in held.items():
                assert "reset" in ended[host] or "reset" in fails(partial(wires.echoes, stream))
        finally:
            for stream in held.values():
                stream.close()
    assert task.host in by
