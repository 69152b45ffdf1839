"""Virtual addresses in real namespaces: one client, three tasks, one bridge."""

import contextlib
import socket
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from api.v1 import network_pb2
from hostkit import netns
from overlay_net.balance import views
from overlay_net.balance.shell import Balance, Sandbox
from overlay_net.balance.views import View, view
from overlay_net.nft import LibNft
from tests.support import wires
from tests.support.backends import gathered
from tests.support.nft_command import NftCommand
from tests.support.wires import Wires

pytestmark = pytest.mark.root

OTHERS = NftCommand()
VIP, VIP6 = "10.0.1.2", "fd00:1::2"
TASKS = {"a": 11, "b": 12, "c": 13}
POOLS = ("10.0.1.0/24", "fd00:1::/64")


class Group:
    """A network with a client and tasks, and what the client's namespace is told."""

    def __init__(self, net: Wires) -> None:
        self.net = net
        middle = net.namespace("middle")
        net.bridge(middle)
        self.places: dict[str, Path] = {}
        for name, number in {"client": 10, **TASKS}.items():
            self.places[name] = net.namespace(name)
            net.plug(
                self.places[name], "eth0", middle, f"10.0.1.{number}/24", f"fd00:1::{number:x}/64"
            )
            if name != "client":
                net.serve(self.places[name], name)
        self.client = self.places["client"]
        self.nft = LibNft()
        self.balance = Balance(self.nft)

    def tell(
        self,
        serving: Collection[str],
        stopping: Collection[str] = (),
        *,
        to: str = "client",
        sticky: bool = False,
        balance: Balance | None = None,
    ) -> None:
        (balance or self.balance).apply(
            self.sandbox(to), {"net": told(serving, stopping, sticky=sticky)}
        )

    def sandbox(self, name: str) -> Sandbox:
        return Sandbox(name, self.places[name], ("net",), POOLS)

    def answers(self, count: int, address: str = VIP) -> Counter[str]:
        return Counter(wires.ask(self.client, address)[0] for _ in range(count))


def told(serving: Collection[str], stopping: Collection[str] = (), *, sticky: bool = False) -> View:
    return view(
        [
            network_pb2.NetworkService(
                service_id="s", name="web", virtual_ips=[VIP, VIP6], sticky=sticky
            )
        ],
        gathered(
            network_pb2.NetworkEndpoint(
                task_id=name,
                service_id="s",
                addresses=[f"10.0.1.{TASKS[name]}/24", f"fd00:1::{TASKS[name]:x}/64"],
                serving=name in serving,
            )
            for name in (*serving, *stopping)
        ).backends(),
    )


@pytest.fixture
def group() -> Iterator[Group]:
    net = Wires()
    with contextlib.closing(net):
        made = Group(net)
        with contextlib.closing(made.nft):
            yield made


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_connections_go_to_the_tasks_in_turn(group: Group, address: str) -> None:
    group.tell("abc")
    assert group.answers(12, address) == {"a": 4, "b": 4, "c": 4}


def test_backends_see_the_client_and_a_task_may_reach_itself(group: Group) -> None:
    group.tell("a")
    assert wires.ask(group.client, VIP) == ("a", "10.0.1.10")
    group.tell("a", to="a")
    assert wires.ask(group.places["a"], VIP) == ("a", "10.0.1.11")


def test_a_ping_is_answered_by_a_task(group: Group) -> None:
    group.tell("ab")

    def raw() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    with netns.call_in(group.client, raw) as ping:
        ping.settimeout(wires.PATIENCE)
        ping.sendto(bytes.fromhex("0800f7fd00010001"), (VIP, 0))
        packet, source = ping.recvfrom(100)
    assert source[0] == VIP
    assert packet[20:22] == b"\0\0"  # echo reply


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_a_sticky_service_gives_a_client_one_task(group: Group, address: str) -> None:
    group.tell("abc", sticky=True)
    assert len(group.answers(8, address)) == 1


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_a_service_without_tasks_refuses_at_once(group: Group, address: str) -> None:
    group.tell("")
    with pytest.raises(ConnectionRefusedError):
        wires.ask(group.client, address)
    with pytest.raises(PermissionError):  # what a socket hears of its own datagram's refusal
        wires.ask_datagram(group.client, address)


def test_a_task_that_stops_keeps_its_connections_and_gets_no_new_ones(group: Group) -> None:
    group.tell("a")
    held = group.net.hold(group.client, VIP)
    assert wires.said(held)[0] == "a"
    group.tell("b", stopping="a")
    assert group.answers(4) == {"b": 4}
    assert wires.echoes(held)


def test_the_connections_of_a_task_that_is_gone_end_at_once(group: Group) -> None:
    group.tell("ab")
    by_task: dict[str, list[socket.socket]] = {"a": [], "b": []}
    for _ in range(4):
        stream = group.net.hold(group.client, VIP)
        by_task[wires.said(stream)[0]].append(stream)
    group.net.remove(group.places["a"])  # as if its host had lost its power: no FIN, no RST
    group.tell("b")
    for stream in by_task["a"]:
        with pytest.raises(ConnectionError):
            wires.echoes(stream)
    assert all(wires.echoes(stream) for stream in by_task["b"])


def test_so_they_do_in_a_container_that_was_led_to_more_tasks_than_it_remembers(
    group: Group,
) -> None:
    group.tell("ab")
    others = [f"10.77.{number // 250}.{number % 250 + 1}" for number in range(views.MOST)]
    for step in ("a", "b"):
        filled = f"add element {views.BASE.at} used4 {{ {', '.join(others)} }}\n"
        group.nft.run(group.client, filled)
        held = [group.net.hold(group.client, VIP) for _ in range(2)]
        by_task = {wires.said(stream)[0]: stream for stream in held}
        group.tell("ab".replace(step, ""))
        with pytest.raises(ConnectionError):
            wires.echoes(by_task[step])
        group.tell("ab")


@pytest.mark.parametrize("sticky", [False, True])
def test_a_container_that_is_new(group: Group, *, sticky: bool) -> None:
    known = {"net": told("ab", sticky=sticky)}
    group.balance.apply(group.sandbox("client"), known, new=True)
    assert len(group.answers(4)) == (1 if sticky else 2)
    group.tell("", stopping="ab")
    with pytest.raises(ConnectionRefusedError):
        wires.ask(group.client, VIP6)
    assert group.balance.differences(group.sandbox("client"), {"net": told("", "ab")}) == []


# Programs with one socket for both versions, as Java's, reach IPv4 by a mapped address.
@pytest.mark.parametrize("address", [VIP, VIP6, f"::ffff:{VIP}"])
def test_who_waits_for_an_answer_of_a_task_that_is_gone_waits_no_longer(
    group: Group, address: str
) -> None:
    group.tell("ab")
    held = [group.net.hold(group.client, address) for _ in range(2)]
    by_task = {wires.said(stream)[0]: stream for stream in held}
    group.net.remove(group.places["a"])
    group.tell("b")
    with pytest.raises(ConnectionError):
        by_task["a"].recv(1)
    assert wires.echoes(by_task["b"])


def test_datagrams_leave_a_task_that_is_gone(group: Group) -> None:
    group.tell("a", stopping="b")
    with wires.datagrams(group.client, VIP) as flow:
        flow.send(b"?")
        assert wires.said(flow)[0] == "a"
        group.net.remove(group.places["a"])
        group.tell("b")
        flow.send(b"?")
        assert wires.said(flow)[0] == "b"


def test_another_daemon_goes_on_where_the_first_one_stopped(group: Group) -> None:
    group.tell("ab")
    streams = [group.net.hold(group.client, VIP) for _ in range(2)]
    held = {wires.said(stream)[0]: stream for stream in streams}
    assert held.keys() == {"a", "b"}
    with contextlib.closing(LibNft()) as nft:
        rules = nft.ask(group.client, "list ruleset")
        group.tell("ab", balance=Balance(nft))
        assert nft.ask(group.client, "list ruleset") == rules  # handles, too
        assert all(wires.echoes(stream) for stream in held.values())
        group.tell("b", balance=Balance(nft))  # a third one: task a went while no daemon was there
        assert group.answers(3) == {"b": 3}
        assert wires.echoes(held["b"])
        with pytest.raises(ConnectionError):
            wires.echoes(held["a"])


def test_rules_that_somebody_flushed_come_back(group: Group) -> None:
    group.tell("a", stopping="b")
    held = group.net.hold(group.client, VIP)
    assert wires.said(held)[0] == "a"
    OTHERS.run(group.client, "flush ruleset")
    group.tell("b")
    assert group.answers(2) == {"b": 2}
    with pytest.raises(ConnectionError):
        wires.echoes(held)
    OTHERS.run(group.client, "flush ruleset")
    group.balance.apply(group.sandbox("client"), {"net": told("b")}, look=True)
    assert group.answers(2) == {"b": 2}


def test_a_container_that_left_a_network_loses_its_services(group: Group) -> None:
    group.tell("a")
    without = Sandbox("client", group.client, (), ())
    group.balance.apply(without, {"net": told("a")})
    listing = group.nft.ask(group.client, "list ruleset")
    assert "s-web" not in str(listing)


def test_a_table_that_somebody_flushed_is_made_whole_by_the_next_change(group: Group) -> None:
    group.tell("ab")
    OTHERS.run(group.client, "flush ruleset\n")
    group.tell("bc")
    assert group.answers(4) == {"b": 2, "c": 2}


def test_a_service_that_becomes_sticky_and_back(group: Group) -> None:
    for sticky, tasks in ((False, 2), (True, 1), (False, 2)):
        group.tell("ab", sticky=sticky)
        assert len(group.answers(4)) == tasks
