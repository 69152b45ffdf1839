"""One command over one channel, with a clock that runs faster where time is what matters."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from machine.ssh.config import hops_of
from machine.ssh.connection import Connection
from machine.ssh.exchange import CutError, Exchange
from machine.ssh.transport import Transport
from machine.target import Target
from tests.support.odd_ssh import Manners, odd_server
from tests.support.ssh_clients import Client
from tests.support.until import until_true

FAST = 100.0


def now() -> float:
    return time.monotonic() * FAST


@pytest.fixture
def manners() -> Manners:
    return Manners()


@pytest.fixture
def transport(manners: Manners, tmp_path: Path) -> Iterator[Transport]:
    client, loop = Client(tmp_path), asyncio.new_event_loop()
    client.made_key()
    with odd_server(manners) as server:
        target = Target("127.0.0.1", "root", server.port, "key", agent=False)
        connection = Connection("h1", hops_of(target, lambda _: {}), client.around, loop)
        connection.open()
        yield connection.transport
        connection.cut()
    loop.close()


def test_outputs_that_nobody_closes_are_left_after_a_while(
    manners: Manners, transport: Transport
) -> None:
    """Something that the command has started talks on and on."""

    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.sendall(b"said")
        channel.send_exit_status(4)
        while not channel.closed:
            channel.sendall(b".")
            time.sleep(0.002)

    manners.serve = serve
    exchange = Exchange("x", io.BytesIO(), now() + FAST * 60, 4, now=now)
    assert exchange.run(transport) == 4
    assert exchange.out.kept == b"said"


class SilentFor:
    """A clock that goes on by a minute between a look at the outputs and the one whether it has
    ended, in which the command says all that it has to say, and ends.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._calls = 0
        self.begun, self.ends = threading.Event(), threading.Event()

    def __call__(self) -> float:
        self._calls += 1
        is_after_the_look = self._calls % 2 == 0
        if is_after_the_look and self.begun.is_set() and not self.ends.is_set():
            self.ends.set()
            (channel,) = self._transport._channels.values()  # type: ignore[attr-defined]
            until_true(channel.status_event.is_set, "it has ended")
        return time.monotonic() + (60.0 if self.ends.is_set() else 0.0)


def test_what_it_says_after_long_silence_and_at_its_end_is_heard(
    manners: Manners, transport: Transport
) -> None:
    clock = SilentFor(transport)

    def serve(channel: paramiko.Channel, _: str) -> None:
        clock.begun.set()
        clock.ends.wait(20)
        channel.sendall(b"said")
        channel.send_exit_status(4)
        until_true(lambda: channel.closed, "it was heard out")

    manners.serve = serve
    exchange = Exchange("x", io.BytesIO(), time.monotonic() + 600, 4, now=clock)
    assert exchange.run(transport) == 4
    assert exchange.out.kept == b"said"


def test_a_command_without_an_end_is_cut(manners: Manners, transport: Transport) -> None:
    manners.serve = lambda channel, _: channel.close()
    with pytest.raises(CutError):
        Exchange("x", io.BytesIO(), now() + FAST * 60, 4, now=now).run(transport)


def test_outputs_that_are_closed_long_before_the_end_keep_nobody_busy(
    manners: Manners, transport: Transport
) -> None:
    """As a daemon does to its own."""
    looks: list[float] = []

    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.shutdown_write()
        until_true(lambda: len(looks) > 8, "it was waited for")
        channel.send_exit_status(6)
        channel.close()

    def look() -> float:
        looks.append(time.monotonic())
        return looks[-1]

    manners.serve = serve
    exchange = Exchange("x", io.BytesIO(), look() + 60, 4, now=look)
    assert exchange.run(transport) == 6
    assert looks[8] - looks[0] > 0.2
