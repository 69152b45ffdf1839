"""Tasks meet by name over all hosts, by both families of addresses, and apart from others."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import wires
from tests.support.cluster import OBEDIENT, TOOLS, Container, Swarm
from tests.support.traffic import (
    ASK,
    QUIET,
    WEB,
    at_once,
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
SILENT = 2.0
"""Seconds without an answer that say that there is no way, where others get one meanwhile."""


@pytest.fixture
def front(swarm: Swarm) -> Iterator[str]:
    swarm.ctl("network", "create", "front")
    yield "front"
    swarm.clear()
    removed(swarm, "front")


def removed(swarm: Swarm, *networks: str) -> None:
    """Removes networks once nothing of them is used."""
    for name in networks:
        swarm.until(
            lambda name=name: swarm.ctl("network", "rm", name, code=None).code == 0,  # type: ignore[misc]
            f"{name} is unused",
        )


def run(swarm: Swarm, service: str, script: str, *, code: int | None = 0) -> list[str]:
    """What a command says in the first task of a service."""
    return swarm.ctl("service", "exec", service, "--", "sh", "-c", script, code=code).lines


def quiet(swarm: Swarm, name: str, *flags: str, replicas: int = 1) -> None:
    """A service whose containers do nothing."""
    swarm.create(name, *flags, TOOLS, "sh", "-c", QUIET, replicas=replicas)


def found(swarm: Swarm, name: str, *, ipv6: bool = False) -> set[str]:
    """The addresses of a name, as the container of `client` is told."""
    (client,) = swarm.on("client")
    return lookup(of(client), name, ipv6=ipv6)


def in_use(swarm: Swarm, network: str, service: str) -> Any:
    """What `network inspect -v` says of a service."""
    (shown,) = json.loads(swarm.ctl("network", "inspect", "-v", network).out)
    return next(row for row in shown["Use"]["Services"] if row["Name"] == service)


def bare(texts: list[str]) -> set[str]:
    """Addresses without the lengths of their prefixes."""
    return {text.partition("/")[0] for text in texts}


def addresses(row: Any) -> set[str]:
    """Those of a service's tasks."""
    return {each for task in row["Tasks"] for each in bare(task["Addresses"])}


def asked(swarm: Swarm, name: str, times: int) -> list[str]:
    """Who answers to a name, one time after another; "" is nobody."""
    script = f'for i in $(seq {times}); do echo "$({ASK} {name} 80 | tail -n 1)"; done'
    return run(swarm, "client", script)


def test_a_name_leads_to_every_task_on_every_host(swarm: Swarm, front: str) -> None:
    swarm.create("web", "--network", front, TOOLS, "sh", "-c", WEB, replicas=3)
    quiet(swarm, "client", "--network", front)
    names = {task.id[:12] for task in swarm.tasks("web")}
    assert {task.node for task in swarm.tasks("web")} == set(HOSTS)

    def answers() -> set[str]:
        return set(asked(swarm, "web", 6))

    swarm.until(lambda: answers() == names, "all answer")
    assert Counter(asked(swarm, "web", 30)) == dict.fromkeys(names, 10)


def test_names_of_tasks_and_aliases(swarm: Swarm, front: str) -> None:
    quiet(swarm, "web", "--network", f"name={front},alias=shop", replicas=3)
    quiet(swarm, "client", "--network", front)
    row = in_use(swarm, front, "web")
    swarm.until(lambda: found(swarm, "tasks.web") == addresses(row), "all tasks are named")
    assert found(swarm, "web") == found(swarm, "shop") == bare(row["Addresses"])
    assert found(swarm, "nobody") == set()


def test_both_families(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "--ipv6", "both")
    quiet(swarm, "web", "--network", "both", replicas=3)
    quiet(swarm, "client", "--network", "both")
    row = in_use(swarm, "both", "web")
    six = {each for each in addresses(row) if ":" in each}
    assert len(six) == 3
    swarm.until(lambda: found(swarm, "tasks.web", ipv6=True) == six, "all are named")
    (virtual,) = {each for each in bare(row["Addresses"]) if ":" in each}
    assert found(swarm, "web", ipv6=True) == {virtual}
    (client,) = swarm.on("client")
    names = {each.task_id[:12] for each in swarm.on("web")}
    with serving(swarm, "web"):
        for address in found(swarm, "web") | {virtual}:
            answers = Counter(wires.ask(of(client), address) for _ in range(6))
            assert {name for name, _ in answers} == names
            assert set(answers.values()) == {2}
            answers = Counter(wires.ask_datagram(of(client), address) for _ in range(6))
            assert {name for name, _ in answers} == names
        own = {peer for _, peer in (wires.ask(of(client), each) for each in (*six, virtual))}
    assert own == {e for e in addresses(in_use(swarm, "both", "client")) if ":" in e}
    swarm.clear()
    removed(swarm, "both")


def test_networks_are_apart(swarm: Swarm, front: str) -> None:
    swarm.ctl("network", "create", "--ipv6", "back")
    quiet(swarm, "web", "--network", front, replicas=3)
    quiet(swarm, "client", "--network", "back", replicas=3)
    row = in_use(swarm, front, "web")
    own = addresses(row) | bare(row["Addresses"])

    def ask(from_: Container, address: str) -> Callable[[], object]:
        patience = SILENT if from_.name.startswith("client") else wires.PATIENCE
        return lambda: wires.ask(of(from_), address, patience=patience)

    with serving(swarm, "web"):
        for each in swarm.on("client"):
            assert lookup(of(each), "web") == lookup(of(each), "tasks.web") == set()
        both = (*swarm.on("client"), *swarm.on("web"))
        why = at_once({(c.name, a): ask(c, a) for c in both for a in own})
        assert {name for (name, _), each in why.items() if each} == {
            f"client.{n}" for n in (1, 2, 3)
        }
        assert all(each for (name, _), each in why.items() if name.startswith("client")), why
    swarm.clear()
    removed(swarm, "back")


def test_an_internal_network_has_no_way_out(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "--internal", "--ipv6", "cellar")
    quiet(swarm, "web", "--network", "cellar", replicas=3)
    quiet(swarm, "client", "--network", "cellar")
    (client,) = swarm.on("client")
    with serving(swarm, "web"):
        for address in found(swarm, "web") | found(swarm, "web", ipv6=True):
            assert wires.ask(of(client), address)
    beyond = {swarm.host(name).address for name in (*HOSTS, "registry")}
    here = swarm.host(client.host).address
    for address in beyond:
        why = fails(lambda a=address: wires.ask(of(client), a, 5000))  # type: ignore[misc]
        assert "unreachable" in why, (address, here, why)
    assert found(swarm, "registry") == found(swarm, "example.com") == set()
    swarm.clear()
    removed(swarm, "cellar")


def test_without_a_virtual_address_a_name_means_the_tasks(swarm: Swarm, front: str) -> None:
    quiet(swarm, "web", "--network", front, "--endpoint-mode", "dnsrr", replicas=3)
    quiet(swarm, "client", "--network", front)
    row = in_use(swarm, front, "web")
    assert not row.get("Addresses")
    swarm.until(lambda: found(swarm, "web") == addresses(row), "all tasks are named")
    swarm.ctl("service", "scale", "--detach", "web=1")
    swarm.until(lambda: len(found(swarm, "web")) == 1, "one is left")


def test_a_service_of_no_tasks_refuses_at_once(swarm: Swarm, front: str) -> None:
    quiet(swarm, "web", "--network", front, "--publish", "8080:80", replicas=2)
    quiet(swarm, "client", "--network", front)
    (client,) = swarm.on("client")
    (virtual,) = found(swarm, "web")
    ways = [(of(client), virtual, 80)]
    ways += [(outside(swarm), swarm.host(host).address, 8080) for host in HOSTS]
    with serving(swarm, "web"):
        for way in ways:
            swarm.until(lambda way=way: not fails(lambda: wires.ask(*way)), f"{way} answers")  # type: ignore[misc]
    swarm.ctl("service", "scale", "--detach", "web=0")
    swarm.until_runs("web", 0)
    until_all_know(swarm)
    for way in ways:
        with pytest.raises(ConnectionRefusedError):
            wires.ask(*way)


def test_a_network_in_use_stays_and_says_who_uses_it(swarm: Swarm, front: str) -> None:
    swarm.ctl("network", "create", "idle")
    quiet(swarm, "web", "--network", front)
    refused = swarm.ctl("network", "rm", front, code=None)
    assert refused.code == 1
    assert "service web" in refused.err
    assert swarm.ctl("network", "prune", "--force").lines == ["Deleted Networks:", "idle"]


def test_what_a_container_is_told_of_names(swarm: Swarm, front: str) -> None:
    flags = [*("--hostname", "{{.Node.Hostname}}-{{.Service.Name}}"), *("--host", "db:10.9.9.9")]
    flags += ["--host", "db6:fd00::9", "--dns", "10.77.255.254", "--dns-search", "corp.example"]
    flags += ["--dns-option", "timeout:1", "--dns-option", "ndots:3"]
    quiet(swarm, "client", "--network", front, *flags)
    (client,) = swarm.on("client")
    host = f"{client.host}-client"
    lines = run(swarm, "client", "hostname; cat /etc/hosts; echo; cat /etc/resolv.conf")
    at = lines.index("")
    assert lines[0] == host
    pairs = [line.split() for line in lines[1:at] if line.strip()]
    assert ["10.9.9.9", "db"] in pairs
    assert ["fd00::9", "db6"] in pairs
    (own,) = addresses(in_use(swarm, front, "client"))
    assert [words for words in pairs if host in words] == [[own, host]]
    assert lines[at + 1 :] == [
        "nameserver 127.0.0.11",
        "search corp.example",
        "options timeout:1 ndots:3",
    ]
    assert found(swarm, "client")


def test_tasks_in_the_hosts_network_and_in_none(swarm: Swarm) -> None:
    swarm.create("hosted", "--network", "host", TOOLS, "sh", "-c", OBEDIENT, replicas=1)
    swarm.create("alone", "--network", "none", TOOLS, "sh", "-c", OBEDIENT, replicas=1)
    (hosted,), (alone,) = swarm.on("hosted"), swarm.on("alone")
    assert of(hosted).stat().st_ino == of_host(swarm, hosted.host).stat().st_ino
    assert of(alone).stat().st_ino != of_host(swarm, alone.host).stat().st_ino
    links = run(swarm, "alone", "ip -o link")
    assert [re.split("[:@] ?", line)[1] for line in links] == ["lo"]
    assert fails(lambda: wires.ask(of(alone), swarm.host("m1").address, 2377))
    (line,) = [s for s in run(swarm, "hosted", "cat /etc/resolv.conf; echo end") if s == "end"]
    assert line == "end"
