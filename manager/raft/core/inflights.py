"""The window of append messages on their way to one follower.

Invariants: what is kept was added in rising order of the last entry's index; nothing is added to a
full window, and a single message may overrun the byte limit but not follow an overrun.
"""

from collections import deque

from manager.raft.core.errors import InvariantError


class Inflights:
    """At most `max_messages` at once, and no more once `max_bytes` are reached."""

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "_window")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._window: deque[tuple[int, int]] = deque()  # index of the last entry, bytes

    @property
    def count(self) -> int:
        """Messages on their way."""
        return len(self._window)

    def add(self, index: int, size: int) -> None:
        """Takes note of a message whose last entry is `index`. InvariantError if full."""
        if self.full():
            raise InvariantError(f"append message up to {index} sent into a full window")
        self._window.append((index, size))
        self._bytes += size

    def free_to(self, index: int) -> None:
        """Forgets the messages up to `index`, which have arrived."""
        window = self._window
        while window and window[0][0] <= index:
            self._bytes -= window.popleft()[1]

    def reset(self) -> None:
        """Forgets all messages."""
        self._window.clear()
        self._bytes = 0

    def full(self) -> bool:
        """Whether nothing more may be sent."""
        return len(self._window) >= self._max_messages or self._bytes >= self._max_bytes

    def copy(self) -> "Inflights":
        """The same window, on its own."""
        copy = Inflights(self._max_messages, self._max_bytes)
        copy._window.extend(self._window)
        copy._bytes = self._bytes
        return copy
