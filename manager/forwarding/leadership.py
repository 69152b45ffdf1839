"""What a manager knows of who leads: a Protocol only, which the Raft node fulfils."""

from collections.abc import Callable
from typing import Protocol

from api.v1 import raft_pb2


class Leadership(Protocol):
    """Who leads the group, and the proof that what this manager holds is current."""

    @property
    def is_leader(self) -> bool:
        """Whether this manager leads, and its state is as new as anything that was answered."""

    @property
    def is_alive(self) -> bool:
        """Whether this manager takes part; if not, it will not hear who leads any more."""

    @property
    def term(self) -> int:
        """The present term: each has one leader at most."""

    @property
    def leader(self) -> raft_pb2.Member | None:
        """The member that leads as far as this manager knows; None during an election."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back on the loop when any of this may have changed; returns how to end that."""

    async def read_barrier(self) -> None:
        """Returns when this manager's state holds every write that was answered before the call.

        SwarmError UNAVAILABLE if no leader could confirm it in time (Ongaro, section 6.4).
        """
