"""The open ear of an agent: what a broker wants of it, in order, until the stream ends."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from api.errors import SwarmError


class Wish(Protocol):
    """One thing that an agent is told: to do something, or that nobody wants it any more."""

    @property
    def id(self) -> str:
        """What it is about."""

    @property
    def close(self) -> bool:
        """Whether it takes the wish with the same id back."""


W = TypeVar("W", bound=Wish)


class Listener(Generic[W]):
    """One agent's open ear."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self._unsent: deque[W] = deque()
        self._woken = asyncio.Event()
        self._ended: SwarmError | None = None

    def tell(self, wish: W) -> None:
        """Adds what the agent is to be told."""
        if wish.close and self._withdraw(wish.id):
            return
        self._unsent.append(wish)
        self._woken.set()

    async def next(self) -> W:
        """Waits for the next thing to tell; raises what ended the stream."""
        while not self._unsent and self._ended is None:
            self._woken.clear()
            await self._woken.wait()
        if self._ended is not None:
            raise self._ended
        return self._unsent.popleft()

    def end(self, error: SwarmError) -> None:
        """Ends the stream."""
        self._ended = error
        self._woken.set()

    def _withdraw(self, wish_id: str) -> bool:
        for waiting in self._unsent:
            if waiting.id == wish_id:
                self._unsent.remove(waiting)
                return True
        return False
