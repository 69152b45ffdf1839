"""An answer that comes as a stream of pieces, put together again.

The pieces are messages of one type, each with some of the answer's repeated fields and maps: merged
they are the whole (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from collections.abc import AsyncIterable
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


async def gathered(pieces: AsyncIterable[M], into: M) -> M:
    """`into`, an empty message, with everything that the stream brings until it ends."""
    async for piece in pieces:
        into.MergeFrom(piece)
    return into
