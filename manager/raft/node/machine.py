"""What the log drives: the Protocol of a replicated state machine. Holds no state itself."""

from collections.abc import Callable
from typing import Protocol

from api.v1 import raft_pb2


class StateMachine(Protocol):
    """Applies committed commands in order, each exactly once since its last snapshot."""

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
        """Applies one TYPE_COMMAND entry; the answer goes to whoever proposed it here.

        Empty data is a no-op. `local` is what the proposer on this very manager handed in beside
        the bytes, so that it need not be decoded again; None for entries from the log or from
        other managers. A SwarmError as the answer is raised to the proposer.
        """

    def capture(self) -> Callable[[], bytes]:
        """The state as it is now; the callable encodes it, and may be called in a thread."""

    def prepare(self, data: bytes) -> Callable[[], None]:
        """Decodes what `capture` encoded once; may be called in a thread, and changes nothing.

        The callable replaces the state by it, quickly, where `apply` is called too. SwarmError
        UNSUPPORTED if the data holds what only a later version knows.
        """
