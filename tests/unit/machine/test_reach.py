"""What answers mean, and the real thing between addresses of this machine's loopback."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.local import LocalRemote
from machine.reach import Closed, Port, Protocol, Station, closed, judged

TCP, UDP = Port(2377), Port(4789, Protocol.UDP)
HERE, THERE = Station(LocalRemote("h1"), "10.0.0.1"), Station(LocalRemote("h2"), "10.0.0.2")


@pytest.mark.parametrize(
    ("answer", "ours", "why"),
    [
        ("open", True, ""),
        ("silent", True, "no answer: a firewall drops it, or the address is wrong"),
        ("refused", True, "refused: a firewall rejects it, or the address is another host's"),
        ("other", True, "somebody else answers at this address"),
        ("other", False, ""),
        ("refused", False, "refused: what has the port there does not listen at this address"),
        ("error no route to host", False, "error no route to host"),
    ],
)
def test_an_answer_over_tcp_means(answer: str, ours: bool, why: str) -> None:
    held = {THERE.address: ["tcp/2377"] if ours else []}
    found = judged(HERE, [HERE, THERE], [TCP], held, f"tcp/2377/10.0.0.2 {answer}\n")
    assert found == ([Closed("h1", "h2", "10.0.0.2", TCP, why)] if why else [])


def test_udp_is_only_judged_where_we_listened() -> None:
    answers = "udp/4789/10.0.0.2 silent"
    assert judged(HERE, [HERE, THERE], [UDP], {THERE.address: []}, answers) == []
    held = {THERE.address: ["udp/4789"]}
    assert [each.port for each in judged(HERE, [HERE, THERE], [UDP], held, answers)] == [UDP]


def test_a_goal_without_an_answer_counts_as_closed() -> None:
    held = {THERE.address: ["tcp/2377"]}
    (found,) = judged(HERE, [HERE, THERE], [TCP], held, "nonsense\n\ntcp/1/10.0.0.2 open")
    assert found.why == "no answer is known"


@given(answers=st.text(st.sampled_from("tcpud/ 23710.\n")) | st.text())
def test_whatever_a_host_answers_is_judged(answers: str) -> None:
    held = {THERE.address: ["tcp/2377"]}
    found = judged(HERE, [HERE, THERE], [TCP, UDP], held, answers)
    assert {each.port for each in found} <= {TCP, UDP}


@contextmanager
def ports() -> Iterator[tuple[Port, Port]]:
    """Two numbers that were free a moment ago, on every address of loopback."""
    with ExitStack() as stack:
        numbers = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            probe = stack.enter_context(socket.socket(type=kind))
            probe.bind(("", 0))
            numbers.append(probe.getsockname()[1])
    yield Port(numbers[0]), Port(numbers[1], Protocol.UDP)


def found(stations: list[Station], *asked: Port, patience: float = 20) -> list[Closed]:
    return asyncio.run(closed(stations, asked, nonce="word", patience=patience))


STATIONS = [Station(LocalRemote(f"h{n}"), f"127.0.0.{n}") for n in (1, 2, 3)]


def test_open_ports_are_found_open_and_nobody_listens_afterwards() -> None:
    with ports() as asked:
        assert found(STATIONS, *asked) == []
        assert found(STATIONS, *asked) == []  # nothing is taken any more


def test_a_port_that_somebody_has_is_reached_all_the_same() -> None:
    with ports() as (tcp, udp), socket.create_server(("127.0.0.2", tcp.number)):
        assert found(STATIONS, tcp, udp, patience=3) == []


def test_an_address_that_nobody_has_is_closed_for_all_others() -> None:
    stations = [*STATIONS[:2], Station(LocalRemote("h9"), "127.255.255.255")]
    with ports() as (tcp, _):
        (first, *more) = found(stations, tcp)
        assert len(more) == 1
        assert (first.source, first.goal, first.port) == ("h1", "h9", tcp)


def test_who_drops_what_comes_is_told_from_who_rejects_it() -> None:
    """A listener whose queue is full drops connections as a firewall does."""
    with ports() as (tcp, _), ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.2", tcp.number))
        full.listen(0)
        for _ in range(3):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.2", tcp.number))
        (only,) = found(STATIONS[:2], tcp, patience=2)
    assert (only.source, only.goal) == ("h1", "h2")
    assert only.why.startswith("no answer: a firewall drops it")
