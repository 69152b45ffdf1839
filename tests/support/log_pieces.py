"""What a container wrote, as lines.

Who writes a line by several calls, as busybox does its errors, may find it in the log in pieces,
each with a time of its own: `partial` says which. Whoever shows lines joins them, as swarmctl does.
"""

from collections.abc import Iterable
from typing import Protocol


class Piece(Protocol):
    """A LogLine of the runtime, or a LogMessage of the API."""

    @property
    def stream(self) -> object: ...
    @property
    def data(self) -> bytes: ...
    @property
    def partial(self) -> bool: ...


def whole_lines(pieces: Iterable[Piece]) -> list[str]:
    """The lines in the order in which they ended, and last what did not end."""
    lines, begun = [], dict[object, bytes]()
    for piece in pieces:
        data = begun.pop(piece.stream, b"") + piece.data
        if piece.partial:
            begun[piece.stream] = data
        else:
            lines.append(data.decode())
    return lines + [data.decode() for data in begun.values()]
