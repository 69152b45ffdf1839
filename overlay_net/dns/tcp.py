"""Answers one container's questions by TCP (RFC 7766): those whose answers are long.

Bounded in connections, in the length of a question, and in how long anything may take. Questions of
a connection are answered one after the other.
"""

import asyncio
import contextlib
import socket

from overlay_net.dns.forwarder import MAX_TCP, Client, Forwarder
from overlay_net.dns.responder import respond

MAX_CONNECTIONS = 32
MAX_QUESTION = 4096
IDLE = 10.0
"""Seconds for a question to arrive in, and for an answer to be taken in."""


class TcpListener:
    """`start`, then `stop`. `idle`: seconds, as IDLE."""

    def __init__(
        self, sock: socket.socket, client: Client, forwarder: Forwarder, *, idle: float = IDLE
    ) -> None:
        self._idle = idle
        self._sock = sock
        self._client = client
        self._forwarder = forwarder
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """From now on connections are taken."""
        self._server = await asyncio.start_server(
            self._connected, sock=self._sock, limit=MAX_QUESTION
        )

    def stop(self) -> None:
        """Ends all connections, and closes the socket."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # TimeoutError too
                await self._answer_all(reader, writer)
            with contextlib.suppress(OSError):
                async with asyncio.timeout(self._idle):
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()  # whoever takes no answers would keep it open for ever

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(self._idle):
                length = int.from_bytes(await reader.readexactly(2), "big")
                if length > MAX_QUESTION:
                    return
                data = await reader.readexactly(length)
            answer = await self._answer(data)
            if answer is None:
                return
            writer.write(len(answer).to_bytes(2, "big") + answer)
            async with asyncio.timeout(self._idle):
                await writer.drain()
            await asyncio.sleep(0)  # questions that are here already would be answered in one go

    async def _answer(self, data: bytes) -> bytes | None:
        outcome = respond(data, self._client.zone, MAX_TCP)
        if outcome is None or isinstance(outcome, bytes):
            return outcome
        answer = self._forwarder.at_once(self._client, outcome, tcp=True)
        return answer or await self._forwarder.ask(self._client, outcome, tcp=True)
