"""The open ears of agents: what a broker wants of each, in order, until its stream ends."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from api.errors import Code, SwarmError
from api.v1 import objects_pb2
from manager.state.store import View


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


class Listeners(dict[str, Listener[W]]):
    """The ears of all agents by node: of each node the newest alone, as an agent has but one."""

    def __init__(self, what: str) -> None:
        """`what`: they listen for."""
        super().__init__()
        self._what = what

    def open(self, node_id: str) -> Listener[W]:
        """An agent begins to listen; a stream of the same node that was open ends."""
        if (older := self.get(node_id)) is not None:
            why = f"a newer stream of this node listens for {self._what}"
            older.end(SwarmError(Code.REFUSED, why))
        listener = self[node_id] = Listener[W](node_id)
        return listener

    def leave(self, listener: Listener[W]) -> bool:
        """An agent listens no more; whether its node has no other ear."""
        is_newest = self.get(listener.node_id) is listener
        if is_newest:
            del self[listener.node_id]
        return is_newest

    def tell(self, node_id: str, wish: W) -> bool:
        """Tells the node's agent; whether it listens."""
        listener = self.get(node_id)
        if listener is not None:
            listener.tell(wish)
        return listener is not None

    def end(self, error: SwarmError) -> None:
        """Ends every stream."""
        for listener in self.values():
            listener.end(error)


def check_member(view: View, node_id: str) -> None:
    """NOT_FOUND for a node that is not part of the swarm."""
    if view.get(objects_pb2.Node, node_id) is None:
        raise SwarmError(Code.NOT_FOUND, f"node {node_id} is not part of this swarm")
