"""The way to the manager that leads: one call or stream over mutual TLS, given up when it falls.

Messages pass as bytes. Sending a call again is the forwarder's affair.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from api.conversation import conversation
from api.errors import Code, SwarmError
from api.serving import Caller
from api.status import from_grpc
from manager.ca.behalf import on_behalf
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.leadership import Leadership

_DOING = "passing the call on to the leader"


class LeaderMovedError(Exception):
    """The call did not reach a leader that answered it; `told` is what to say if it never does.

    `sent`: a leader may have heard it, and may carry it out yet.
    """

    def __init__(self, told: SwarmError, *, sent: bool) -> None:
        super().__init__(str(told))
        self.told = told
        self.sent = sent


def not_leading() -> SwarmError:
    """Nobody answers as the leader now."""
    return SwarmError(
        Code.UNAVAILABLE,
        "the swarm has no leader now",
        why="its managers are electing one, or more than half of them cannot be reached",
        remedy="try again; if it stays so, look at the managers: swarmctl swarm status",
    )


class LeaderLine:
    """Calls whoever leads now."""

    def __init__(self, leadership: Leadership, channels: ManagerChannels) -> None:
        self._leadership = leadership
        self._channels = channels

    async def call(
        self, method: str, request: bytes, who: Caller | None, *, timeout: float
    ) -> bytes:
        """The leader's answer. LeaderMovedError if there is none, or it falls meanwhile."""
        async with self._channels.to(self._address()) as channel:
            unary: Any = channel.unary_unary(method)
            remote = unary(request, timeout=timeout, metadata=on_behalf(who))
            async with self._until_moved(remote.cancel):
                answer: bytes = await remote
                return answer

    async def stream(
        self, method: str, request: bytes, who: Caller | None, *, timeout: float | None
    ) -> AsyncGenerator[bytes, None]:
        """The leader's messages. LeaderMovedError as `call`, also between two messages."""
        async with self._channels.to(self._address()) as channel:
            streaming: Any = channel.unary_stream(method)
            remote = streaming(request, timeout=timeout, metadata=on_behalf(who))
            async with aclosing(self._messages(remote)) as messages:
                async for message in messages:
                    yield message

    async def converse(
        self,
        method: str,
        requests: AsyncIterator[bytes],
        who: Caller | None,
        *,
        timeout: float | None,
    ) -> AsyncGenerator[bytes, None]:
        """The same where both sides stream; neither is read from while the other is full."""
        async with self._channels.to(self._address()) as channel:
            streaming: Any = channel.stream_stream(method)
            remote = streaming(timeout=timeout, metadata=on_behalf(who))
            said = conversation(remote, requests)
            async with self._until_moved(remote.cancel), aclosing(said) as messages:
                async for message in messages:
                    yield message

    async def _messages(self, remote: Any) -> AsyncGenerator[bytes, None]:  # noqa: ANN401
        try:
            async with self._until_moved(remote.cancel):
                async for message in remote:
                    yield message
        finally:
            remote.cancel()  # the caller may have left

    def _address(self) -> str:
        leader = self._leadership.leader
        if leader is None or not leader.address or self._leadership.is_leader:
            raise LeaderMovedError(not_leading(), sent=False)
        return leader.address

    @asynccontextmanager
    async def _until_moved(self, cancel: Callable[[], object]) -> AsyncIterator[None]:
        """Cancels the call once another manager leads, and says what came of it."""
        called = self._leadership.leader

        def look() -> None:
            if self._leadership.leader != called:
                cancel()

        stop = self._leadership.subscribe(look)
        try:
            yield
        except grpc.aio.AioRpcError as error:
            told = from_grpc(error, _DOING)
            if told.code is Code.DEADLINE:
                told = _silent()
            if told.code is not Code.UNAVAILABLE:
                raise told from error
            raise LeaderMovedError(told, sent=True) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise LeaderMovedError(not_leading(), sent=True) from None
        finally:
            stop()


def _silent() -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        "the leader of the swarm did not answer in time",
        why="it is overloaded or cut off; the other managers elect another if it stays so",
        remedy="try again",
    )
