"""The way through a program (ProxyCommand): what goes there and back, and that nothing is left."""

import asyncio
import os
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.piped import PipedWay, through
from machine.ssh.remote import SshRemote
from machine.target import Target
from tests.support.odd_ssh import odd_server
from tests.support.open_files import open_files
from tests.support.ssh_clients import Client, impatient
from tests.support.until import until_true

CARRIER = """\
import socket, sys, threading, os
way = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while piece := way.recv(65536):
        os.write(1, piece)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while piece := os.read(0, 65536):
    way.sendall(piece)
"""
PLAIN = {"SHELL": "/bin/sh", "PATH": os.environ["PATH"]}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    client = Client(tmp_path)
    client.made_key()
    (tmp_path / "carrier.py").write_text(CARRIER)
    return client


def is_gone(pid: int) -> bool:
    return not Path("/proc", str(pid)).exists()


def connect(client: Client, command: str, port: int) -> list[str]:
    """What a command on the host said, the way there being this ProxyCommand."""
    said = {"proxycommand": command, "user": "root"}
    target = Target("127.0.0.1", "root", port, key="key", agent=False)

    async def whole() -> list[str]:
        remote = await SshRemote.connect("h1", target, client.around, lookup=lambda _: said)
        try:
            return (await remote.run(["id"], timeout=10)).text.split()
        finally:
            await remote.close()

    return asyncio.run(whole())


def test_a_host_is_reached_through_a_program(client: Client) -> None:
    before = set(threading.enumerate())
    with odd_server() as server:
        pid = client.folder / "pid"
        carrier = f"{sys.executable} {client.folder}/carrier.py %h %p"
        said = connect(client, f"sh -c 'echo $$ > {pid}; exec {carrier}'", server.port)
    assert said == ["0"]
    assert is_gone(int(pid.read_text()))
    until_true(lambda: before.issuperset(threading.enumerate()), "no thread of it is left")


def test_a_program_that_fails_is_told_in_its_own_words(client: Client) -> None:
    with pytest.raises(SwarmError) as failed:
        connect(client, "sh -c 'echo no such instance >&2; exit 7'", 1)
    assert failed.value.code is Code.UNAVAILABLE
    assert "exit status 7: no such instance" in failed.value.why
    assert "try it by hand: sh -c" in failed.value.remedy


def test_a_program_that_says_nothing_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, pids = impatient(tmp_path, banner=1), tmp_path / "pids"

    def begun(command: str) -> PipedWay:
        way = through(command)
        until_true(lambda: pids.exists() and pids.read_text()[-1:] == "\n", "it has begun")
        return way

    monkeypatch.setattr("machine.ssh.piped.through", begun)
    with pytest.raises(SwarmError) as failed:
        connect(client, f"sh -c 'sleep 600 & echo log in >&2; echo $$ $! > {pids}; wait'", 1)
    assert failed.value.code is Code.UNAVAILABLE
    assert "it said nothing within 1 s; its ProxyCommand: log in" in failed.value.why
    for pid in map(int, pids.read_text().split()):
        until_true(partial(is_gone, pid), "it has ended")


def test_it_is_a_socket_with_the_limits_of_one() -> None:
    with through("cat", PLAIN) as way:
        way.settimeout(0.05)
        with pytest.raises(TimeoutError):
            way.recv(1)
        way.settimeout(10)
        way.sendall(b"there and back")
        assert way.recv(99) == b"there and back"
    assert way.why() == ""
    way.close()


def test_one_who_does_not_listen_is_killed_and_what_it_says_is_bounded() -> None:
    way = through("sh -c 'trap \"\" TERM; yes word >&2 & echo; wait; wait'", PLAIN)
    assert isinstance(way, PipedWay)
    assert way.recv(9) == b"\n"
    way.close()
    assert len(way.why()) < 100


def test_no_terminal_and_no_shell(tmp_path: Path) -> None:
    with through("sh -c 'exec 3</dev/tty' ", PLAIN) as way:
        way.settimeout(10)
        assert way.recv(1) == b""
    assert "/dev/tty" in way.why()
    before = set(open_files())
    with pytest.raises(SwarmError) as failed:
        through("cat", {"SHELL": str(tmp_path / "none")})
    assert failed.value.code is Code.UNSUPPORTED
    assert before.issuperset(open_files())
