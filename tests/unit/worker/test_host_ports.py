"""Whether a program of a host listens on a port, asked of the kernel."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import netns
from tests.support.wires import Wires
from worker.host_ports import is_free

pytestmark = pytest.mark.root

PORT = 8080
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture
def host() -> Iterator[Path]:
    with contextlib.closing(Wires()) as wires:
        made = wires.namespace("ports")
        wires.ip(made, "addr add 10.9.0.5/32 dev lo", "addr add fd09::5/128 dev lo nodad")
        yield made


def bound(
    host: Path, address: str, kind: socket.SocketKind, *, reusable: bool = False
) -> socket.socket:
    """A server there, as programs make them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = netns.call_in(host, lambda: socket.socket(family, kind))
    if reusable:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, PORT))
    if kind == TCP:
        made.listen()
    return made


@pytest.mark.parametrize("reusable", [False, True])
@pytest.mark.parametrize("kind", [TCP, UDP])
@pytest.mark.parametrize(
    ("server", "taken", "free"),
    [
        ("0.0.0.0", ["", "10.9.0.5", "127.0.0.1"], ["fd09::5"]),  # noqa: S104
        ("::", ["", "10.9.0.5", "fd09::5"], []),
        ("10.9.0.5", ["", "10.9.0.5"], ["127.0.0.1", "::1", "192.0.2.77"]),
        ("fd09::5", ["", "fd09::5"], ["10.9.0.5", "::1"]),
    ],
)
def test_where_a_program_listens_is_not_free(
    host: Path,
    server: str,
    taken: list[str],
    free: list[str],
    kind: socket.SocketKind,
    *,
    reusable: bool,
) -> None:
    protocol, other = ("tcp", "udp") if kind == TCP else ("udp", "tcp")
    with bound(host, server, kind, reusable=reusable):
        for address in taken:
            assert not is_free(str(host), (protocol, PORT, address)), address
            assert is_free(str(host), (other, PORT, address))
            assert is_free(str(host), (protocol, PORT + 1, address))
        for address in free:
            assert is_free(str(host), (protocol, PORT, address)), address
    assert is_free(str(host), (protocol, PORT, ""))


def test_another_network_namespace_is_another_host(host: Path) -> None:
    with contextlib.closing(Wires()) as wires, bound(host, "::", TCP):
        assert is_free(str(wires.namespace("beside")), ("tcp", PORT, ""))


def test_connections_that_have_ended_are_in_nobodys_way(host: Path) -> None:
    with bound(host, "10.9.0.5", TCP, reusable=True) as server:
        client = netns.call_in(host, lambda: socket.create_connection(("10.9.0.5", PORT)))
        accepted, _ = server.accept()
        accepted.close()  # whoever ends it waits for a minute: TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    table = netns.call_in(host, lambda: Path("/proc/thread-self/net/tcp").read_text())
    assert f":{PORT:04X} " in table
    assert is_free(str(host), ("tcp", PORT, ""))


def test_of_a_protocol_that_the_kernel_does_not_speak_nobody_listens(host: Path) -> None:
    assert is_free(str(host), ("sctp", PORT, ""))
