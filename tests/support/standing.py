"""Who leads, as one manager sees it and as a test says: fulfils Leadership without any Raft."""

from collections.abc import Callable

from api.errors import SwarmError
from api.v1 import raft_pb2


class Standing:
    """`sees` changes it and tells those who subscribed."""

    def __init__(self) -> None:
        self.is_leader = False
        self.is_alive = True
        self.term = 0
        self.leader: raft_pb2.Member | None = None
        self.barriers = 0
        self.barrier_error: SwarmError | None = None
        self.callbacks: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    async def read_barrier(self) -> None:
        self.barriers += 1
        if self.barrier_error is not None:
            raise self.barrier_error

    def sees(self, leader: str, *, itself: bool = False) -> None:
        """The manager `leader` leads, in a new term; empty: nobody does."""
        self.term += 1
        self.is_leader = itself
        self.leader = raft_pb2.Member(raft_id=ord(leader), address=leader) if leader else None
        for callback in list(self.callbacks):
            callback()
