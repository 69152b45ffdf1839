"""Fabric, published ports and virtual addresses together, in a real kernel."""

import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import wires
from tests.support.joined_hosts import (
    CLIENT,
    OWN,
    PUBLISHED,
    VIRTUAL,
    JoinedHosts,
    joined_hosts,
)

pytestmark = pytest.mark.root


@pytest.fixture
def hosts() -> Iterator[JoinedHosts]:
    with joined_hosts() as found:
        found.tell()
        yield found


@pytest.mark.parametrize("ask", [wires.ask, wires.ask_datagram])
def test_a_client_is_seen_through_every_host(hosts: JoinedHosts, ask: wires.Ask) -> None:
    answers = Counter(ask(hosts.client, f"10.99.0.{n}", PUBLISHED) for n in (1, 1, 2, 2, 3, 3))
    assert answers == {("t22", CLIENT): 3, ("t33", CLIENT): 3}


def test_containers_reach_services_by_address_and_by_port(hosts: JoinedHosts) -> None:
    answers = Counter(wires.ask(hosts.asker, VIRTUAL) for _ in range(4))
    assert answers == {("t22", "10.0.1.11"): 2, ("t33", "10.0.1.11"): 2}
    assert wires.ask(hosts.asker, "10.99.0.1", PUBLISHED)[1] == "10.255.0.1"
    assert wires.ask(hosts.asker, "10.99.0.3", PUBLISHED)[1] == "10.99.0.1"


@pytest.mark.parametrize("ask", [wires.ask, wires.ask_datagram])
@pytest.mark.parametrize("way", ["", "default via 10.99.0.254"])
def test_a_host_asks_itself_whether_it_has_a_default_route_or_none(
    hosts: JoinedHosts, ask: wires.Ask, way: str
) -> None:
    """The leg has no route of its own, and what the host says is routed as it is translated."""
    for number in (1, 2):
        host = hosts.host(number)
        if way:
            subprocess.run(["ip", "-n", host.name, "route", "add", *way.split()], check=True)
        for address, seen in (("127.0.0.1", f"10.255.0.{number}"), (f"10.99.0.{number}",) * 2):
            answers = Counter(ask(host, address, PUBLISHED) for _ in range(4))
            assert answers == {("t22", seen): 2, ("t33", seen): 2}
            with wires.connect(host, address, PUBLISHED) as stream:
                wires.said(stream)
                assert wires.echoes(stream, bytes(100_000))
        with pytest.raises(ConnectionRefusedError):
            wires.ask(host, "127.0.0.1", PUBLISHED + 1)


def test_a_port_of_mode_host_past_the_rules_of_the_fabric(hosts: JoinedHosts) -> None:
    assert wires.ask(hosts.client, "10.99.0.2", OWN) == ("t22", CLIENT)
    assert wires.ask(hosts.host(2), "127.0.0.1", OWN) == ("t22", "172.18.0.1")
    assert wires.ask(hosts.tasks[22], "10.99.0.2", OWN) == ("t22", "172.18.0.1")
    with pytest.raises(ConnectionRefusedError):
        wires.ask(hosts.client, "10.99.0.1", OWN)


def test_connections_to_a_host_that_went_down_end_and_others_go_on(hosts: JoinedHosts) -> None:
    ways = [(hosts.asker, VIRTUAL, 80), (hosts.client, "10.99.0.1", PUBLISHED)]
    for path, address, port in ways:
        streams = [wires.connect(path, address, port) for _ in range(2)]
        with streams[0], streams[1]:
            held = {wires.said(stream)[0]: stream for stream in streams}
            hosts.tell(lost={hosts.laid.hosts[2].name})
            with pytest.raises(ConnectionError):
                wires.echoes(held["t33"])
            assert wires.echoes(held["t22"])
            assert {wires.ask(path, address, port)[0] for _ in range(3)} == {"t22"}
        hosts.tell()
