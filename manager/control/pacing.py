"""From the pieces of a list to the messages of its stream, with a rest between any two.

However long the list, everything else that the manager does goes on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

P = TypeVar("P")
M = TypeVar("M")


async def paced(pieces: Iterator[list[P]], answer: Callable[[list[P]], M]) -> AsyncIterator[M]:
    """A message for each piece that is not empty."""
    for piece in pieces:
        if piece:
            yield answer(piece)
        # Sending may find room at once, and then gives nobody else his turn.
        await asyncio.sleep(0)
