"""A snapshot as a stream of chunks, and the chunks as a snapshot again. Pure.

The first chunk is the greeting, the message without its data, and the size of that; the others are
the data, in order.
"""

from collections.abc import Iterator

from api.errors import Code, SwarmError, invalid
from api.v1.raft_pb2 import RaftGreeting, RaftMessage, SnapshotChunk

CHUNK_BYTES = 512 << 10
SNAPSHOT_BYTES = 1 << 30
"""The most data that a receiver collects."""


def split(greeting: RaftGreeting, message: RaftMessage, data: bytes) -> Iterator[SnapshotChunk]:
    """The chunks of a TYPE_SNAPSHOT with this data; whatever data `message` has is left out."""
    head = RaftMessage()
    head.CopyFrom(message)
    head.snapshot.ClearField("data")
    yield SnapshotChunk(greeting=greeting, head=head, size=len(data))
    for start in range(0, len(data), CHUNK_BYTES):
        yield SnapshotChunk(data=data[start : start + CHUNK_BYTES])


class Assembly:
    """A snapshot that is being received; every failure is a SwarmError."""

    def __init__(self, first: SnapshotChunk, *, limit: int = SNAPSHOT_BYTES) -> None:
        if first.head.type != RaftMessage.TYPE_SNAPSHOT or first.head.snapshot.data or first.data:
            raise invalid("head", "a snapshot begins with its message, without any data")
        if first.size > limit:
            raise SwarmError(
                Code.EXHAUSTED,
                "the snapshot is too large",
                why=f"it has {first.size} bytes, and {limit} are taken",
            )
        self._head = first.head
        self._missing = first.size
        self._parts: list[bytes] = []

    def add(self, chunk: SnapshotChunk) -> None:
        """Takes the next chunk; INVALID if it is empty, too much, or begins anew."""
        if chunk.HasField("head") or chunk.HasField("greeting") or not chunk.data:
            raise invalid("data", "what follows the head of a snapshot is data alone")
        if len(chunk.data) > self._missing:
            raise invalid("size", "the snapshot has more data than its head announced")
        self._missing -= len(chunk.data)
        self._parts.append(chunk.data)

    def message(self) -> RaftMessage:
        """The whole message, once; INVALID if data is missing."""
        if self._missing:
            raise invalid("size", f"the snapshot ended {self._missing} bytes early")
        whole = RaftMessage()
        whole.CopyFrom(self._head)
        whole.snapshot.data = b"".join(self._parts)
        self._parts.clear()
        return whole
