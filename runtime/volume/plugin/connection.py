"""Calls of one plugin: JSON over HTTP, each on a connection of its own.

A plugin may be started anew at any time; a connection that was kept would fail just then. What has
been sent is never sent again: whether a plugin bears that, only its caller knows. Proxies of the
environment are not asked.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import httpx

from api.errors import SwarmError
from hostkit.clock import Clock, monotonic
from runtime.http_body import read_limited
from runtime.volume.plugin import discovery, faults, messages, patience, tls
from runtime.volume.plugin.address import Address
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.messages import ANSWER_LIMIT, Answer, Lie

_MIME = "application/vnd.docker.plugins.v1.2+json"
_HEADERS = {"Accept": _MIME, "Content-Type": _MIME, "Accept-Encoding": "identity"}
_OK = 200
_NOT_FOUND = 404
Sleep = Callable[[float], Awaitable[None]]


class Connection:
    """The plugin called `name`, wherever its files say that it is at the moment."""

    def __init__(
        self, name: str, folders: Folders, clock: Clock = monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.name = name
        self._folders = folders
        self._clock = clock
        self._sleep = sleep

    async def call(
        self, verb: str, body: Mapping[str, object], timeout: float, *, patient: bool = False
    ) -> Answer:
        """What it answers, at the latest after `timeout` seconds. SwarmError if it does not.

        With `patient` a plugin that is not there, or does not listen yet, is asked again for up to
        30 s before. UNSUPPORTED if it does not know the verb. What it refuses is in the answer.
        """
        status, answered = await self._reach(verb, json.dumps(body).encode(), timeout, patient)
        if status == _NOT_FOUND:
            raise faults.no_such_verb(self.name, _short(verb))
        try:
            answer = messages.read(answered)
            if status != _OK and not messages.refusal(answer):
                raise Lie(f"it answered {status}")
        except Lie as lie:
            why = str(lie) if status == _OK else _said(status, answered)
            raise faults.lied(self.name, _short(verb), why) from None
        return answer

    async def _reach(
        self, verb: str, body: bytes, timeout: float, patient: bool
    ) -> tuple[int, bytes]:
        started = self._clock()
        attempt = 0
        while True:
            attempt += 1
            try:
                address = await asyncio.to_thread(discovery.find, self.name, self._folders)
            except SwarmError as error:
                failure = error
            else:
                try:
                    return await self._exchange(address, verb, body, timeout)
                except _NotThere as absent:
                    failure = absent.error
            seconds = patience.delay(attempt, self._clock() - started) if patient else None
            if seconds is None:
                raise failure
            await self._sleep(seconds)

    async def _exchange(
        self, address: Address, verb: str, body: bytes, timeout: float
    ) -> tuple[int, bytes]:
        """Status and body. _NotThere if nothing was sent."""
        try:
            async with asyncio.timeout(timeout):
                return await self._post(address, verb, body, timeout)
        except (TimeoutError, httpx.TimeoutException):
            raise faults.silent(self.name, _short(verb), timeout) from None
        except (httpx.ConnectError, OSError) as error:
            told_by = str(address.told_by)
            raise _NotThere(faults.unreachable(self.name, told_by, error)) from error
        except httpx.HTTPError as error:
            raise faults.broken(self.name, _short(verb), error) from error

    async def _post(
        self, address: Address, verb: str, body: bytes, timeout: float
    ) -> tuple[int, bytes]:
        transport = httpx.AsyncHTTPTransport(
            uds=str(address.socket) if address.socket else None,
            verify=await asyncio.to_thread(tls.context, self.name, address),
        )
        client = httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False)
        async with (
            client,
            client.stream(
                "POST", f"{address.base}/{verb}", content=body, headers=_HEADERS
            ) as response,
        ):
            answered = await read_limited(response, ANSWER_LIMIT + 1, truncate=True)
        if len(answered) > ANSWER_LIMIT:
            why = f"its answer has more than {ANSWER_LIMIT} bytes"
            raise faults.lied(self.name, _short(verb), why)
        return response.status_code, answered


class _NotThere(Exception):
    """Nobody was reached, and nothing was sent: it may be tried again."""

    def __init__(self, error: SwarmError) -> None:
        super().__init__(str(error))
        self.error = error


def _short(verb: str) -> str:
    """The verb without the kind of plugin before it, as errors name it."""
    return verb.rpartition(".")[2]


def _said(status: int, body: bytes) -> str:
    text = messages.readable(body.decode(errors="replace"))
    return f"it answered {status}" + (f": {text}" if text else "")
