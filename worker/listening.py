"""How an agent hears what a manager's broker wants of it: a stream that is opened again and again.

What is wanted is the affair of whoever listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

import grpc

from worker.backoff import Backoff, Chance

log = logging.getLogger(__name__)

T_co = TypeVar("T_co", covariant=True)
Work = Coroutine[Any, Any, None]


class Stream(Protocol[T_co]):
    """Messages of a call that may be cancelled."""

    def __aiter__(self) -> AsyncIterator[T_co]:
        """The messages."""

    def cancel(self) -> bool:
        """Ends the call."""


async def listen(
    open_stream: Callable[[], Stream[T_co]],
    take: Callable[[T_co], Work | None],
    chance: Chance,
    name: str,
) -> NoReturn:
    """Hands every message to `take`, until it is cancelled.

    `take` answers with the work that the message makes, which ends with the stream.
    """
    backoff = Backoff(chance)
    while True:
        try:
            await _until_it_ends(open_stream(), take, backoff)
        except grpc.aio.AioRpcError as error:
            log.info("the %s does not answer: %s", name, error.details() or error.code())
        await asyncio.sleep(backoff.next())


async def _until_it_ends(
    stream: Stream[T_co], take: Callable[[T_co], Work | None], backoff: Backoff
) -> None:
    running: set[asyncio.Task[None]] = set()
    try:
        async for message in stream:
            backoff.reset()
            work = take(message)
            if work is not None:
                task = asyncio.create_task(work)
                running.add(task)
                task.add_done_callback(running.discard)
    finally:
        stream.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
