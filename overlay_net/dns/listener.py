"""Answers one container's questions by UDP, on the event loop.

A few datagrams are taken at a time, then it is another container's turn, and the rest of the
daemon's: whoever floods us fills a buffer of its own and waits behind itself.
"""

import asyncio
import contextlib
import socket

from overlay_net.dns.forwarder import Client, Forwarder
from overlay_net.dns.message import MAX_UDP, Query
from overlay_net.dns.responder import quick, respond

Sender = tuple[str, int]

BATCH = 32
"""Datagrams taken at a time."""


class Listener:
    """`start`, then `stop`, which also ends what is asked elsewhere; the socket is its maker's."""

    def __init__(self, sock: socket.socket, client: Client, forwarder: Forwarder) -> None:
        self._sock = sock
        self._client = client
        self._forwarder = forwarder
        self._asking: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """From now on questions are answered."""
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._take)

    def stop(self) -> None:
        """No more answers."""
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        for task in self._asking:
            task.cancel()

    def _take(self) -> None:
        take, send, ready = self._sock.recvfrom, self._sock.sendto, self._client.zone.ready
        try:
            for _ in range(BATCH):
                data, sender = take(MAX_UDP)
                answer = quick(data, ready)
                if answer is None:
                    answer = self._think(data, sender)
                    if answer is None:
                        continue
                send(answer, sender)
        except OSError:
            # Nothing more there, or no room for an answer: its sender asks again. An error that
            # stays shows up again at the next call, and costs no more than that.
            return

    def _think(self, data: bytes, sender: Sender) -> bytes | None:
        outcome = respond(data, self._client.zone)
        if outcome is None or isinstance(outcome, bytes):
            return outcome
        answer = self._forwarder.at_once(self._client, outcome, tcp=False)
        if answer is None:
            task = asyncio.ensure_future(self._pass_on(outcome, sender))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return answer

    async def _pass_on(self, query: Query, sender: Sender) -> None:
        answer = await self._forwarder.ask(self._client, query, tcp=False)
        with contextlib.suppress(OSError):
            self._sock.sendto(answer, sender)
