"""Published ports answer on every node, show who asks, and bear hosts that come and go."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest

from machine.drivers.lab import form
from machine.drivers.lab.driver import LabDriver
from tests.support import wires
from tests.support.cluster import TOOLS, Swarm, a_swarm
from tests.support.host_dump import dump, mentioning
from tests.support.traffic import (
    HEALTH,
    QUIET,
    WEB,
    Load,
    fails,
    get,
    lookup,
    of,
    of_host,
    outside,
    serving,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

HOSTS = ("m1", "w1", "w2")
SIX = {"m1": "fd77::11", "w1": "fd77::51", "w2": "fd77::52", "registry": "fd77::2"}
"""Addresses of IPv6 that the hosts are given."""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=1, workers=2) as made:
        yield made


def published(swarm: Swarm, *flags: str, replicas: int = 2) -> None:
    """A service whose containers do nothing, on port 8080."""
    ports = flags or ("--publish", "8080:80", "--publish", "8080:80/udp")
    swarm.create("web", *ports, TOOLS, "sh", "-c", QUIET, replicas=replicas)


def targets(swarm: Swarm) -> dict[str, str]:
    return {name: swarm.host(name).address for name in HOSTS}


def until_all_answer(swarm: Swarm, ask: wires.Ask = wires.ask) -> None:
    """Until every node leads to all tasks: one hears of them a moment after another."""
    tasks = len(swarm.on("web"))
    for name, address in targets(swarm).items():
        seen: set[str] = set()

        def all_answer(address: str = address, seen: set[str] = seen) -> bool:
            with contextlib.suppress(OSError):
                seen.add(ask(outside(swarm), address, 8080)[0])
            return len(seen) == tasks

        swarm.until(all_answer, f"{name} leads to all tasks")


@pytest.mark.parametrize("ask", [wires.ask, wires.ask_datagram])
def test_the_client_is_seen_through_every_node(swarm: Swarm, ask: wires.Ask) -> None:
    published(swarm)
    names = {each.task_id[:12] for each in swarm.on("web")}
    client = swarm.host("registry").address
    with serving(swarm, "web"):
        until_all_answer(swarm)
        for address in targets(swarm).values():
            answers = Counter(ask(outside(swarm), address, 8080) for _ in range(6))
            assert answers == {(name, client): 3 for name in names}


def test_the_client_is_seen_by_ipv6(swarm: Swarm) -> None:
    gone = ("network", "rm", "ingress")
    swarm.until(lambda: swarm.ctl(*gone, code=None).code == 0, "nothing is published any more")
    swarm.until(
        lambda: (
            swarm.ctl("network", "create", "--ingress", "--ipv6", "ingress", code=None).code == 0
        ),
        "there is an ingress network of both families",
    )
    for name, address in SIX.items():
        swarm.inside(name, "ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
    published(swarm)
    names = {each.task_id[:12] for each in swarm.on("web")}
    with serving(swarm, "web"):
        until_all_answer(swarm)
        for host in HOSTS:
            for ask in (wires.ask, wires.ask_datagram):
                answers = Counter(ask(outside(swarm), SIX[host], 8080) for _ in range(4))
                assert answers == {(name, SIX["registry"]): 2 for name in names}


def test_one_client_with_one_port_through_two_nodes_at_once(swarm: Swarm) -> None:
    published(swarm, replicas=1)
    (task,) = swarm.on("web")
    client = swarm.host("registry").address
    with contextlib.ExitStack() as held, serving(swarm, "web"):
        until_all_answer(swarm)
        streams = [
            held.enter_context(
                wires.connect(outside(swarm), address, 8080, source=("", 20_000 + port))
            )
            for port in range(5)
            for address in targets(swarm).values()
        ]
        assert {wires.said(stream) for stream in streams} == {(task.task_id[:12], client)}
        assert all(wires.echoes(stream) for stream in streams)


def test_a_port_is_one_services_and_closes_with_it(swarm: Swarm) -> None:
    published(swarm)
    words = ("--detach", "--name", "second", "--publish", "8080:80", TOOLS, "sh", "-c", QUIET)
    # The servers go on for as long as anybody may be led to them: it is the port that refuses.
    with serving(swarm, "web"):
        until_all_answer(swarm)
        refused = swarm.ctl("service", "create", *words, code=None)
        assert refused.code == 1
        assert "8080" in refused.err
        assert "web" in refused.err
        swarm.ctl("service", "rm", "web")
        for host, address in targets(swarm).items():
            swarm.until(
                lambda a=address: "refused" in fails(lambda: wires.ask(outside(swarm), a, 8080)),  # type: ignore[misc]
                f"the port of {host} is closed",
            )
    swarm.clear()
    assert swarm.ctl("service", "create", *words).code == 0


def test_a_port_of_mode_host_is_its_own_nodes(swarm: Swarm) -> None:
    published(swarm, "--publish", "published=8080,target=80,mode=host")
    tasks = {each.host: each.task_id[:12] for each in swarm.on("web")}
    assert len(tasks) == 2
    client = swarm.host("registry").address
    with serving(swarm, "web"):
        for host, address in targets(swarm).items():
            if host in tasks:
                assert wires.ask(outside(swarm), address, 8080) == (tasks[host], client)
            else:
                assert "refused" in fails(lambda a=address: wires.ask(outside(swarm), a, 8080))  # type: ignore[misc]


def test_a_further_port_and_one_less_disturb_no_other(swarm: Swarm) -> None:
    flags = [*("--publish", "8080:80"), *("--update-order", "start-first"), *HEALTH]
    flags += ["--update-monitor", "0s"]
    two = f"mkdir -p /www; httpd -p 81 -h /www; {WEB}"
    swarm.create("web", *flags, TOOLS, "sh", "-c", two, replicas=2)
    until_all_answer(swarm, get)
    by = targets(swarm)
    asks = {h: (lambda a=a: get(outside(swarm), a, 8080)) for h, a in by.items()}
    with Load(asks) as load:
        swarm.ctl("service", "update", "--publish-add", "8081:81", "web")
        for host, address in by.items():
            swarm.until(
                lambda a=address: not fails(lambda: get(outside(swarm), a, 8081)),  # type: ignore[misc]
                f"{host} answers on the new port",
            )
        swarm.ctl("service", "update", "--publish-rm", "81", "web")
        for host, address in by.items():
            swarm.until(
                lambda a=address: "refused" in fails(lambda: get(outside(swarm), a, 8081)),  # type: ignore[misc]
                f"{host} has closed the new port",
            )
        load.goes_on(30)
    assert load.failed == []


def test_a_host_that_drops_what_it_forwards(swarm: Swarm) -> None:
    """Networks carry all the same; its published ports do once its firewall lets the leg pass."""
    swarm.ctl("network", "create", "front")
    flags = ("--network", "front", "--publish", "8080:80", "--constraint", "node.hostname!=w1")
    published(swarm, *flags)
    here = ("--network", "front", "--constraint", "node.hostname==w1")
    swarm.create("client", *here, TOOLS, "sh", "-c", QUIET)
    (client,) = swarm.on("client")
    (address,) = lookup(of(client), "web")
    through = swarm.host("w1").address
    with serving(swarm, "web"):
        until_all_answer(swarm)
        swarm.inside("w1", "iptables", "-P", "FORWARD", "DROP")
        assert wires.ask(of(client), address)
        silence = fails(lambda: wires.ask(outside(swarm), through, 8080, patience=wires.SILENT))
        assert "timed out" in silence
        for way in ("-i", "-o"):
            swarm.inside("w1", "iptables", "-I", "FORWARD", way, "ing0", "-j", "ACCEPT")
        client_address = swarm.host("registry").address
        assert wires.ask(outside(swarm), through, 8080)[1] == client_address
        swarm.inside("w1", "nft", "delete table ip filter")
    swarm.clear()
    swarm.until(lambda: swarm.ctl("network", "rm", "front", code=None).code == 0, "it is unused")


def test_a_host_joins_and_is_removed_while_others_are_asked(swarm: Swarm) -> None:
    swarm.create("web", "--publish", "8080:80", *HEALTH, TOOLS, "sh", "-c", WEB, replicas=3)
    until_all_answer(swarm, get)
    asks = {h: (lambda a=a: get(outside(swarm), a, 8080)) for h, a in targets(swarm).items()}
    lab = LabDriver.open(swarm.name)
    try:
        with Load(asks) as load:
            new = asyncio.run(lab.create("w3"))
            asyncio.run(form.form([lab.host(name) for name in (*HOSTS, "w3")]))
            swarm.until(
                lambda: not fails(lambda: get(outside(swarm), new.address, 8080)), "it answers too"
            )
            with Load({"w3": lambda: get(outside(swarm), new.address, 8080)}) as through:
                through.goes_on(30)
            (place,) = [
                line.split()[3].partition("/")[0]
                for line in swarm.inside("w3", "ip", "-o", "-4", "addr").lines
                if line.split()[1].startswith("ing")
            ]
            assert mentioning(dump(swarm, "m1"), new.address)
            load.goes_on(30)
            swarm.lab("kill", "w3")
            swarm.ctl("node", "rm", "--force", "w3")
            for host in HOSTS:
                swarm.until(
                    lambda h=host: not mentioning(dump(swarm, h), new.address, place),  # type: ignore[misc]
                    f"{host} knows nothing of it",
                )
            load.goes_on(30)
    finally:
        asyncio.run(lab.remove("w3"))
    assert through.failed == load.failed == []


def test_programs_of_the_host_are_led_to_the_service_too(swarm: Swarm) -> None:
    published(swarm)
    names = {each.task_id[:12] for each in swarm.on("web")}
    with serving(swarm, "web"):
        until_all_answer(swarm)
        for host in HOSTS:
            for address in ("127.0.0.1", targets(swarm)[host]):
                found = {wires.ask(of_host(swarm, host), address, 8080)[0] for _ in range(4)}
                assert found == names
