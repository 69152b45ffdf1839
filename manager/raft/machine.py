"""What the log drives: the Protocol of a replicated state machine. Holds no state itself."""

from collections.abc import Callable
from typing import Protocol

from api.v1 import raft_pb2


class StateMachine(Protocol):
    """Applies committed entries in order, each exactly once since its last snapshot."""

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
        """Applies one entry; the answer goes to whoever proposed it here.

        `local` is what the proposer on this very manager handed in beside the bytes, so that it
        need not be decoded again; None for entries from the log or from other managers.
        """

    def capture(self) -> Callable[[], bytes]:
        """The state as it is now; the callable encodes it, and may be called in a thread."""

    def restore(self, data: bytes) -> None:
        """Replaces the state by what `capture` encoded once."""
