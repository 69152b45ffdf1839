"""Containers ask, over real sockets in real network namespaces."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from overlay_net.dns import tcp
from overlay_net.dns.forwarder import Client, Forwarder
from overlay_net.dns.host_servers import HostServers
from overlay_net.dns.listener import BATCH
from overlay_net.dns.server import DnsServer, Sandbox
from tests.support.dns_box import (
    OURS,
    PATIENCE,
    ask_tcp,
    ask_udp,
    client,
    connection,
    exchange,
    namespaces,
    run,
    serving,
)
from tests.support.dns_messages import Message, question, read
from tests.support.dns_networks import endpoint, network, service
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.root

CROWD = 100


@pytest.fixture(scope="module")
def spaces() -> Iterator[dict[str, Path]]:
    with namespaces("a", "b") as made:
        yield made


def fill(server: DnsServer) -> None:
    """Networks front, with a service and its crowd of tasks, and back, with another service."""
    server.directory.put_network(network("front"))
    server.directory.put_network(network("back", "10.0.2.0/24"))
    server.directory.put_service(service("front", "web", ["10.0.1.2"]))
    server.directory.put_service(service("back", "db", ["10.0.2.2"]))
    for number in range(CROWD):
        server.directory.put_endpoint(
            endpoint("front", f"web.{number}", f"10.0.1.{number + 100}/24", service="web")
        )


async def asked(inside: Path, name: str) -> Message:
    return read(await ask_udp(inside, question(name)))


def test_names_are_answered_by_udp_and_tcp(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            for _ in range(2):
                assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]
            cut = await asked(spaces["a"], "tasks.web")
            assert cut.truncated
            assert 0 < len(cut.answers) < CROWD
            both = await ask_tcp(spaces["a"], question("tasks.web"), question("web", ident=7))
            crowd, one = map(read, both)
            assert (crowd.truncated, len(set(crowd.addresses()))) == (False, CROWD)
            assert (one.ident, one.addresses()) == (7, ["10.0.1.2"])

    run(scenario)


def test_names_of_other_networks_are_not_seen(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            await server.attach(Sandbox("b", spaces["b"], ("id-back",)))
            assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]
            assert (await asked(spaces["b"], "db")).addresses() == ["10.0.2.2"]
            assert (await asked(spaces["a"], "db")).rcode == 3
            assert (await asked(spaces["b"], "web")).rcode == 3
            assert (await asked(spaces["b"], "tasks.web")).rcode == 3
            # Connected to the other one while it runs.
            await server.attach(Sandbox("b", spaces["b"], ("id-back", "id-front")))
            assert (await asked(spaces["b"], "web")).addresses() == ["10.0.1.2"]

    run(scenario)


def test_a_container_may_serve_port_53_itself(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with (
            serving(tmp_path, ManualClock()) as server,
            client(spaces["a"]) as own,
            client(spaces["a"], socket.SOCK_STREAM) as listening,
            client(spaces["a"]) as asking,
        ):
            own.bind(("0.0.0.0", 53))  # noqa: S104
            listening.bind(("0.0.0.0", 53))  # noqa: S104
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]
            asking.sendto(b"to the container's own", ("127.0.0.1", 53))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(PATIENCE):
                assert await loop.sock_recv(own, 100) == b"to the container's own"

    run(scenario)


def test_a_daemon_that_begins_anew_answers_sockets_that_asked_before(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    async def scenario() -> None:
        with client(spaces["a"]) as sock:
            for _ in range(3):
                with serving(tmp_path, ManualClock()) as server:
                    fill(server)
                    await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
                    answer = await exchange(sock, question("web"))
                    assert read(answer).addresses() == ["10.0.1.2"]

    run(scenario)


def test_the_preferred_port_may_be_taken(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with (
            serving(tmp_path, ManualClock()) as server,
            client(spaces["a"]) as other,
            client(spaces["a"], socket.SOCK_STREAM) as listening,
        ):
            other.bind(("127.0.0.11", 61_053))
            listening.bind(("127.0.0.11", 61_053))
            listening.listen()
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]
            (found,) = await ask_tcp(spaces["a"], question("web"))
            assert read(found).addresses() == ["10.0.1.2"]

    run(scenario)


def test_bytes_that_are_no_question_end_nothing(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            with client(spaces["a"]) as sock:
                sock.connect(OURS)
                for data in (b"", b"x", b"\0" * 12, b"\xff" * 5000, question("web")[:-1]):
                    sock.send(data)
                loop = asyncio.get_running_loop()
                async with asyncio.timeout(PATIENCE):
                    found = [read(await loop.sock_recv(sock, 4096)) for _ in range(2)]
            assert [message.rcode for message in found] == [1, 1]
            assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]

    run(scenario)


def test_who_asks_little_does_not_wait_for_who_asks_much(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    flood = 5 * BATCH  # all answers have room in the buffer of who asks

    async def scenario() -> None:
        with (
            serving(tmp_path, ManualClock()) as server,
            client(spaces["a"]) as much,
            client(spaces["b"]) as little,
        ):
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            await server.attach(Sandbox("b", spaces["b"], ("id-front",)))
            much.connect(OURS)
            for _ in range(flood):
                much.send(question("web"))
            assert read(await exchange(little, question("web"))).addresses() == ["10.0.1.2"]
            answered = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    much.recv(512)
                    answered += 1
            assert answered < flood

    run(scenario)


def test_connections_of_a_container_are_few(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            await server.attach(Sandbox("b", spaces["b"], ("id-front",)))
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(tcp.MAX_CONNECTIONS):
                    reader, writer = await stack.enter_async_context(connection(spaces["a"]))
                    writer.write(len(question("web")).to_bytes(2, "big") + question("web"))
                    await reader.readexactly(2)  # it is served
                reader, _ = await stack.enter_async_context(connection(spaces["a"]))
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
                (found,) = await ask_tcp(spaces["b"], question("web"))
                assert read(found).addresses() == ["10.0.1.2"]

    run(scenario)


def test_an_overlong_question_by_tcp_ends_the_connection(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            async with connection(spaces["a"]) as (reader, writer), asyncio.timeout(PATIENCE):
                writer.write((tcp.MAX_QUESTION + 1).to_bytes(2, "big"))
                assert await reader.read() == b""

    run(scenario)


@contextlib.asynccontextmanager
async def impatient(tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    """The address of a listener that waits for nothing longer than a moment."""
    with serving(tmp_path, ManualClock()) as server, socket.socket() as sock:
        fill(server)
        sock.bind(("127.0.0.1", 0))
        container = Client("a", tmp_path, server.directory.zone(["id-front"]), ())
        forwarder = Forwarder(ManualClock(), lambda: 0, HostServers(ManualClock(), tmp_path))
        listener = tcp.TcpListener(sock, container, forwarder, idle=0.01)
        address = sock.getsockname()
        await listener.start()
        yield address
        listener.stop()


@pytest.mark.parametrize("sent", [b"", b"\0", question("web"), b"\0\x40x"])
def test_a_connection_on_which_nothing_more_comes_is_ended(tmp_path: Path, sent: bytes) -> None:
    async def scenario() -> None:
        async with impatient(tmp_path) as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(sent)
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_connection_on_which_no_answer_is_taken_is_ended(tmp_path: Path) -> None:
    many = len(question("tasks.web")).to_bytes(2, "big") + question("tasks.web")

    async def scenario() -> None:
        async with impatient(tmp_path) as address:
            loop = asyncio.get_running_loop()
            with socket.socket() as sock:
                sock.setblocking(False)
                async with asyncio.timeout(30):
                    await loop.sock_connect(sock, address)
                    with pytest.raises(ConnectionError):
                        await loop.sock_sendall(sock, many * 500_000)

    run(scenario)


def test_a_container_may_get_another_namespace(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("x", spaces["a"], ("id-front",)))
            await server.attach(Sandbox("x", spaces["b"], ("id-front",)))
            assert (await asked(spaces["b"], "web")).addresses() == ["10.0.1.2"]
            with pytest.raises(ConnectionRefusedError):
                await asked(spaces["a"], "web")

    run(scenario)


class _Refusing:
    def lead(self, target: Path, udp: int, tcp: int, /) -> None:
        raise SwarmError(Code.INTERNAL, "no nftables here")


def test_without_the_rule_nothing_is_left_open(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        server = DnsServer(_Refusing(), ManualClock())
        fill(server)
        with pytest.raises(SwarmError):
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
        with pytest.raises(ConnectionRefusedError):
            await ask_udp(spaces["a"], question("web"), ("127.0.0.11", 61_053))
        server.close()

    run(scenario)


def test_a_detached_container_gets_no_answers(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            await server.attach(Sandbox("a", spaces["a"], ("id-front",)))
            server.detach("a")
            server.detach("never there")
            with pytest.raises(ConnectionRefusedError):
                await asked(spaces["a"], "web")

    run(scenario)


@pytest.mark.parametrize(
    ("networks", "servers", "code"),
    [
        (("id-nowhere",), (), Code.NOT_FOUND),
        (("id-front",), ("dns.example",), Code.INVALID),
        (("id-front",), (), Code.NOT_FOUND),  # no such namespace
    ],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, networks: tuple[str, ...], servers: tuple[str, ...], code: Code
) -> None:
    async def scenario() -> None:
        with serving(tmp_path, ManualClock()) as server:
            fill(server)
            with pytest.raises(SwarmError) as refused:
                await server.attach(Sandbox("x", tmp_path / "none", networks, servers))
            assert refused.value.code is code

    run(scenario)
