"""Calls of one CSI driver over its unix socket, each on a channel of its own.

A driver may be started anew at any time: what was learnt of the former one, as how long to wait
before connecting again, is not kept. One that is still busy with the volume (ABORTED) is asked
again within the time of the call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from api.channel import socket_target
from hostkit.clock import Clock, monotonic
from runtime.volume.csi import answers, faults, pending

_ANSWER_LIMIT = 4 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", _ANSWER_LIMIT),
    ("grpc.max_metadata_size", 32 << 10),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

Sleep = Callable[[float], Awaitable[None]]
Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for questions, for what a controller does at the storage, for what is mounted."""

    question: float = 10.0
    controller: float = 120.0
    node: float = 120.0


class Endpoint:
    """The driver called `name` behind the socket `path`."""

    def __init__(
        self,
        name: str,
        path: Path,
        timeouts: Timeouts | None = None,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = name
        self.path = path
        self.timeouts = timeouts or Timeouts()
        self._clock = clock
        self._sleep = sleep

    async def call(
        self,
        doing: str,
        request: Q,
        method: Callable[[grpc.aio.Channel], grpc.aio.UnaryUnaryMultiCallable[Q, A]],
        timeout: float,
    ) -> A:
        """The answer, within `timeout` seconds; `doing` names it in errors, as "mount volume data".

        SwarmError with what the status means.
        """
        call = type(request).__name__.removesuffix("Request")
        ends = self._clock() + timeout
        attempt = 0
        target = socket_target(self.path)
        async with grpc.aio.insecure_channel(target, options=_OPTIONS) as channel:
            while True:
                attempt += 1
                left = ends - self._clock()
                try:
                    return await method(channel)(request, timeout=max(0.001, left))
                except grpc.aio.AioRpcError as error:
                    status, said = error.code(), error.details() or ""
                if status is grpc.StatusCode.DEADLINE_EXCEEDED:
                    said = f"it was not done after {timeout:g} s"
                seconds = None
                if status is grpc.StatusCode.ABORTED:
                    seconds = pending.delay(attempt, ends - self._clock())
                if seconds is None:
                    raise faults.of_status(self.name, call, doing, status, said)
                await self._sleep(seconds)

    def read(self, answer: A, read: Callable[[A], B]) -> B:
        """What an answer says; SwarmError if that cannot be."""
        try:
            return read(answer)
        except answers.Lie as lie:
            call = type(answer).__name__.removesuffix("Response")
            raise faults.lied(self.name, call, str(lie)) from None
