"""Real network namespaces with containers' DNS servers in them, and name servers beside."""

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

from hostkit import netns
from overlay_net.dns.host_servers import HostServers
from overlay_net.dns.server import DnsServer
from tests.support.manual_clock import ManualClock
from tests.support.nft_command import NftCommand

OURS = ("127.0.0.11", 53)
PATIENCE = 20.0
"""Seconds in which an answer has come, be the machine as busy as it likes."""


@contextlib.contextmanager
def namespaces(*labels: str) -> Iterator[dict[str, Path]]:
    """Fresh namespaces with nothing but their loopback, gone afterwards."""
    names = {label: f"test-dns-{os.getpid()}-{label}" for label in labels}
    try:
        for name in names.values():
            netns.create(name)
            path = netns.path(name)
            subprocess.run(
                ["nsenter", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True
            )
        yield {label: netns.path(name) for label, name in names.items()}
    finally:
        for name in names.values():
            netns.delete(name)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """On the loop that the daemon has."""

    async def whole() -> None:
        await scenario()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def client(inside: Path, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """A socket within a namespace, for the loop to use."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return made

    return netns.call_in(inside, make)


async def ask_udp(inside: Path, question: bytes, to: tuple[str, int] = OURS) -> bytes:
    """The answer by UDP."""
    with client(inside) as sock:
        return await exchange(sock, question, to)


async def exchange(sock: socket.socket, question: bytes, to: tuple[str, int] = OURS) -> bytes:
    """The same over a socket that is used again."""
    sock.connect(to)
    sock.send(question)
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(sock, 65_535)


@contextlib.asynccontextmanager
async def connection(
    inside: Path, to: tuple[str, int] = OURS
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection out of a namespace."""
    sock = client(inside, socket.SOCK_STREAM)
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_connect(sock, to)
        reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask_tcp(inside: Path, *questions: bytes) -> list[bytes]:
    """The answers by TCP, over one connection, all questions sent at once."""
    found = []
    async with connection(inside) as (reader, writer), asyncio.timeout(PATIENCE):
        writer.write(b"".join(len(q).to_bytes(2, "big") + q for q in questions))
        for _ in questions:
            length = int.from_bytes(await reader.readexactly(2), "big")
            found.append(await reader.readexactly(length))
    return found


class NameServer:
    """Answers each question by UDP with what `answers` says, and remembers it."""

    def __init__(self, sock: socket.socket, answers: Callable[[bytes], list[bytes]]) -> None:
        self._sock = sock
        self._answers = answers
        self.asked: list[bytes] = []

    def take(self) -> None:
        """One question."""
        data, sender = self._sock.recvfrom(65_535)
        self.asked.append(data)
        for answer in self._answers(data):
            self._sock.sendto(answer, sender)


@contextlib.asynccontextmanager
async def name_server(
    answers: Callable[[bytes], list[bytes]],
    *,
    at: tuple[str, int] = ("127.0.0.1", 0),
    inside: Path | None = None,
) -> AsyncIterator[tuple[NameServer, int]]:
    """A name server by UDP on a loopback, and its port."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM) if inside is None else client(inside)
    with made as sock:
        sock.setblocking(False)
        sock.bind(at)
        server = NameServer(sock, answers)
        loop.add_reader(sock.fileno(), server.take)
        try:
            yield server, sock.getsockname()[1]
        finally:
            loop.remove_reader(sock.fileno())


@contextlib.contextmanager
def serving(
    folder: Path, clock: ManualClock, *, resolv: str = "", port: int = 53, chance: int | None = None
) -> Iterator[DnsServer]:
    """The server of all containers, on a host with this resolv.conf."""
    path = folder / "resolv.conf"
    path.write_text(resolv)
    server = DnsServer(
        NftCommand(),
        clock,
        host=HostServers(clock, path),
        upstream_port=port,
        **({} if chance is None else {"chance": lambda: chance}),
    )
    try:
        yield server
    finally:
        server.close()
