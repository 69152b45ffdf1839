"""One question to one name server, over a socket made for it: its port cannot be known before.

Raises OSError or TimeoutError when there is no answer, MessageError when what came is none.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from hostkit import netns
from overlay_net.dns.message import MessageError, Query
from overlay_net.dns.replies import Reply, question_to, read

PORT = 53
MAX_LIES = 16
"""Datagrams that are no answer, after which a server is not listened to any longer."""
_MAX_DATAGRAM = 65_535


async def ask(
    query: Query, ident: int, server: str, *, tcp: bool, inside: Path | None, port: int = PORT
) -> Reply:
    """Asks from the network namespace of file `inside`, or from the caller's own."""
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    sock = await _socket(server, kind, inside)
    try:
        return await (_by_tcp if tcp else _by_udp)(sock, query, ident, (server, port))
    finally:
        sock.close()


async def _by_udp(sock: socket.socket, query: Query, ident: int, server: tuple[str, int]) -> Reply:
    sock.connect(server)  # from now on the kernel drops what others send
    sock.send(question_to(query, ident))
    loop = asyncio.get_running_loop()
    for _ in range(MAX_LIES):
        data = await loop.sock_recv(sock, _MAX_DATAGRAM)
        try:
            return read(data, query, ident)
        except MessageError:
            continue  # somebody lies, or a late answer to another question: the true one may come
    raise MessageError(None, "nothing but wrong answers")


async def _by_tcp(sock: socket.socket, query: Query, ident: int, server: tuple[str, int]) -> Reply:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, server)
    data = question_to(query, ident)
    await loop.sock_sendall(sock, len(data).to_bytes(2, "big") + data)
    length = int.from_bytes(await _exactly(sock, 2), "big")
    return read(await _exactly(sock, length), query, ident)


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    found = bytearray()
    while len(found) < size:
        piece = await loop.sock_recv(sock, size - len(found))
        if not piece:
            raise ConnectionResetError("the name server hung up")
        found += piece
    return bytes(found)


async def _socket(server: str, kind: socket.SocketKind, inside: Path | None) -> socket.socket:
    is_v6 = isinstance(ipaddress.ip_address(server), ipaddress.IPv6Address)
    family = socket.AF_INET6 if is_v6 else socket.AF_INET

    def make() -> socket.socket:
        made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        made.setblocking(False)
        return made

    if inside is None:
        return make()
    return await _made_inside(inside, make)


async def _made_inside(inside: Path, make: Callable[[], socket.socket]) -> socket.socket:
    """The socket of a thread, which is closed if nobody waits for it any longer."""
    work = asyncio.ensure_future(asyncio.to_thread(netns.call_in, inside, make))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(_close)
        raise


def _close(work: "asyncio.Future[socket.socket]") -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().close()
