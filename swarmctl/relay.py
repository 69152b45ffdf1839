"""Passes cluster calls on to a manager elsewhere: what a worker does with calls on its socket.

Managers are tried in turn when one is away. Messages pass through as bytes; nothing is decoded.
Decides nothing about who may call: the manager does, by this node's certificate.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from api.conversation import conversation
from api.errors import Code, SwarmError
from api.metadata import STALE
from api.status import from_grpc
from manager.forwarding.channels import ManagerChannels

logger = logging.getLogger(__name__)

Connect = Callable[[str], grpc.aio.Channel]
"""A new channel to a manager's address, with the node's present credentials. Does not wait."""
READY_LIMIT = 3.0
"""Seconds for a connection to one manager, where there are others to try."""
_DOING = "passing the call on to a manager"


class Relay:
    """One channel per manager, made when it is needed, kept until credentials change."""

    def __init__(self, addresses: Callable[[], Sequence[str]], connect: Connect) -> None:
        self._addresses = addresses
        self._channels = ManagerChannels(connect)
        self._answered = ""

    async def call(
        self, method: str, request: bytes, *, timeout: float, stale: bool = False
    ) -> bytes:
        """The answer of the first manager that can be reached, within `timeout` seconds in all.

        A call that fails on its way may have had its effect: it is safe to send it to the next
        manager because whatever changes something carries a request_id. `stale`: api/metadata.py.
        """
        end = asyncio.get_running_loop().time() + timeout
        lost: SwarmError | None = None
        for address in self._in_turn():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                break
            async with self._channels.to(address) as channel:
                remote: Any = channel.unary_unary(method)
                try:
                    answer: bytes = await remote(request, timeout=left, metadata=_metadata(stale))
                except grpc.aio.AioRpcError as error:
                    lost = self._failed(address, error, before=lost)
                    continue
                except asyncio.CancelledError:
                    raise self._cancelled() from None
            self._answered = address
            return answer
        raise lost or _nobody()

    async def stream(
        self, method: str, request: bytes, *, timeout: float | None, stale: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The messages of the first manager that can be reached; a stream that breaks has ended."""
        lost: SwarmError | None = None
        for address in self._in_turn():
            async with self._channels.to(address) as channel:
                method_of: Any = channel.unary_stream(method)
                remote = method_of(request, timeout=timeout, metadata=_metadata(stale))
                begun = False
                try:
                    async for message in remote:
                        begun = True
                        self._answered = address
                        yield message
                    return
                except grpc.aio.AioRpcError as error:
                    lost = self._failed(address, error)
                    if begun:
                        break
                except asyncio.CancelledError:
                    raise self._cancelled() from None
                finally:
                    remote.cancel()  # the caller may have left
        raise lost or _nobody()

    async def converse(
        self, method: str, requests: AsyncIterator[bytes], *, timeout: float | None
    ) -> AsyncGenerator[bytes, None]:
        """Both sides stream, with the first manager that can be reached: nothing is repeated."""
        for address in self._in_turn():
            async with self._channels.to(address) as channel:
                if not await _is_ready(channel):
                    continue
                streaming: Any = channel.stream_stream(method)
                try:
                    async with aclosing(
                        conversation(streaming(timeout=timeout), requests)
                    ) as messages:
                        async for message in messages:
                            self._answered = address
                            yield message
                    return
                except grpc.aio.AioRpcError as error:
                    raise self._failed(address, error) from error
                except asyncio.CancelledError:
                    raise self._cancelled() from None
        raise _nobody()

    def renew(self) -> None:
        """From the next call on, channels with the present credentials; calls under way go on."""
        self._channels.renew()

    async def close(self) -> None:
        """Ends every call: UNAVAILABLE for those under way."""
        await self._channels.close()

    def _in_turn(self) -> list[str]:
        """The managers, the one that answered last first."""
        return sorted(self._addresses(), key=lambda address: address != self._answered)

    def _cancelled(self) -> BaseException:
        """What a cancelled call ends with: its caller has left, or `close` ended it here."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return asyncio.CancelledError()
        return SwarmError(
            Code.UNAVAILABLE,
            f"{_DOING} was broken off",
            why="this node leaves, or its daemon stops",
        )

    def _failed(
        self, address: str, error: grpc.aio.AioRpcError, before: SwarmError | None = None
    ) -> SwarmError:
        """What the call failed with; raises it where another manager would say the same.

        Where time ran out, what a manager said `before` tells more.
        """
        lost = from_grpc(error, _DOING)
        if lost.code is Code.DEADLINE and before is not None:
            raise before from error
        if lost.code is not Code.UNAVAILABLE:
            raise lost from error
        logger.info("the manager at %s cannot serve a call: %s", address, lost)
        return lost


def _metadata(stale: bool) -> tuple[tuple[str, str], ...]:
    return ((STALE, "1"),) if stale else ()


async def _is_ready(channel: grpc.aio.Channel) -> bool:
    try:
        async with asyncio.timeout(READY_LIMIT):
            await channel.channel_ready()
    except TimeoutError:
        return False
    return True


def _nobody() -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        f"{_DOING} failed",
        why="no manager answered in time",
        remedy="check that the managers run and can be reached from here",
    )
