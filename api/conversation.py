"""A call in which both sides stream, passed on: it ends as the server ended it.

Given the requests themselves, grpc.aio writes on while a refusal is on its way, and then reports
the failed write in its place (api/writing.py). Knows nothing of who speaks, or of what.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from api.writing import Writing


async def conversation(call: Any, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:  # noqa: ANN401 - grpc has no narrower type of it
    """Says the requests as they come, and yields the answers; neither waits for the other.

    grpc.aio.AioRpcError with the server's own status. The call is over when this is; requests that
    break off end it too.
    """
    saying = asyncio.create_task(_say(call, requests))
    try:
        async for message in call:
            yield message
    finally:
        saying.cancel()
        call.cancel()  # whoever listens may have left
        # Why requests broke off is known to whom they come from.
        await asyncio.gather(saying, return_exceptions=True)


async def _say(call: Any, requests: AsyncIterator[bytes]) -> None:  # noqa: ANN401
    broken_off = True
    try:
        async for request in requests:
            if not await Writing(call.write(request)):
                broken_off = False
                return
        await Writing(call.done_writing())
        broken_off = False
    finally:
        if broken_off:
            call.cancel()
