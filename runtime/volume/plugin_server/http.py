"""A small HTTP server on a unix socket: one bounded request for each connection, then it is closed.

Knows nothing of what is asked. Whoever may open the socket may ask.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import h11

from api.errors import Code, SwarmError

log = logging.getLogger(__name__)

HEADER_LIMIT = 16 << 10
BODY_LIMIT = 1 << 20
_CONNECTIONS = 64
_READ = 64 << 10
_TOO_LARGE = 413

Handler = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Path and body of a request, to status and body of the answer."""


class HttpServer:
    """Serves `handler`. `patience`: seconds in which a request has to come, and an answer to go."""

    def __init__(self, path: Path, handler: Handler, *, mime: str, patience: float = 30.0) -> None:
        self._path = path
        self._handler = handler
        self._mime = mime
        self._patience = patience
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens, for root alone. A socket that nobody listens on any more is replaced.

        UNAVAILABLE if somebody does, or the place cannot be had.
        """
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            await self._clear()
            unbound = self._path.with_suffix(".new")
            unbound.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, str(unbound))
            unbound.chmod(0o600)
            os.rename(unbound, self._path)  # nobody may open it before the mode is right
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE, f"nothing can be served on {self._path}", why=str(error)
            ) from error

    async def stop(self) -> None:
        """Answers what is being asked no more, and leaves no socket."""
        if self._server is None:
            return
        self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        await self._server.wait_closed()
        self._path.unlink(missing_ok=True)
        self._server = None

    async def _clear(self) -> None:
        try:
            _, writer = await asyncio.open_unix_connection(str(self._path))
        except OSError:
            self._path.unlink(missing_ok=True)
            return
        writer.close()
        raise SwarmError(
            Code.UNAVAILABLE,
            f"nothing can be served on {self._path}",
            why="somebody else listens there",
            remedy="stop that program, or choose another folder",
        )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._busy) >= _CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._converse(reader, writer))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT)
        try:
            async with asyncio.timeout(self._patience):
                asked = await _request(connection, reader, writer)
            status, body = await self._answer(*asked)
            async with asyncio.timeout(self._patience):
                await self._send(connection, writer, status, body)
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(h11.LocalProtocolError, OSError, TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._send(connection, writer, error.error_status_hint, b"")
        except (OSError, TimeoutError, EOFError):
            log.debug("a caller on %s went away", self._path)
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            return await self._handler(path, body)
        except Exception:
            log.exception("%s on %s failed", path, self._path)
            return 500, b'{"Err": "internal error; the log of swarmd says which"}'

    async def _send(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, status: int, body: bytes
    ) -> None:
        headers = [
            ("Content-Type", self._mime),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=b"")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()


async def _request(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[str, bytes]:
    """Path and body. EOFError if the caller goes away before."""
    path, body = "", bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"")
                writer.write(connection.send(go_on) or b"")
            connection.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Request):
            path = event.target.decode("ascii")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise h11.RemoteProtocolError("too large", error_status_hint=_TOO_LARGE)
        elif isinstance(event, h11.EndOfMessage):
            return path, bytes(body)
        else:
            raise EOFError
