"""What waits to be sent to one member on one stream: a queue with limits. Pure.

Messages are kept in their form on the wire: a batch is serialised without copying any of them, and
what the sender does to a message afterwards changes nothing.
"""

from collections import deque
from dataclasses import dataclass

from api.v1.raft_pb2 import RaftBatch, RaftMessage

BATCH_BYTES = 1 << 20
"""About what one batch holds; a single message may be larger."""
MESSAGE_BYTES = (4 << 20) - 1024
"""The most that one message may have, framed: below api.channel.REQUEST_LIMIT."""

_URGENT = frozenset(
    {
        RaftMessage.TYPE_VOTE,
        RaftMessage.TYPE_VOTE_RESPONSE,
        RaftMessage.TYPE_PRE_VOTE,
        RaftMessage.TYPE_PRE_VOTE_RESPONSE,
        RaftMessage.TYPE_HEARTBEAT,
        RaftMessage.TYPE_HEARTBEAT_RESPONSE,
        RaftMessage.TYPE_TRANSFER_LEADER,
        RaftMessage.TYPE_TIMEOUT_NOW,
        RaftMessage.TYPE_READ_INDEX,
        RaftMessage.TYPE_READ_INDEX_RESPONSE,
    }
)
_LENGTH_DELIMITED = 2
_TAG = bytes([RaftBatch.MESSAGES_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])


def is_urgent(message: RaftMessage) -> bool:
    """Whether it is small and must not wait behind entries."""
    return message.type in _URGENT


def frame(message: RaftMessage) -> bytes:
    """A RaftBatch of this message alone, serialised. Such batches are joined by joining the bytes.

    That is how protobuf defines repeated fields (protobuf.dev, "Encoding", Last One Wins).
    """
    data = message.SerializeToString()
    return b"".join((_TAG, _varint(len(data)), data))


@dataclass(slots=True)
class _Queued:
    frame: bytes
    heartbeat: bytes | None
    """Of a heartbeat its context, else None."""


class Outbox:
    """A queue of at most `messages` messages and `size` bytes; what is too much is dropped."""

    def __init__(self, *, messages: int, size: int) -> None:
        self._most = messages
        self._size_limit = size
        self._queue: deque[_Queued] = deque()
        self._size = 0
        self._overflown = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def push(self, message: RaftMessage) -> bool:
        """Queues it, or drops it; whether this is the first drop since the queue was last empty.

        A heartbeat takes the place of an older one, unless that carries the context of another
        read, whose round would be lost with it.
        """
        framed = frame(message)
        heartbeat = message.context if message.type == RaftMessage.TYPE_HEARTBEAT else None
        if heartbeat is not None:
            self._drop_older(heartbeat)
        if len(framed) > MESSAGE_BYTES or not self._has_room(len(framed)):
            first, self._overflown = not self._overflown, True
            return first
        self._queue.append(_Queued(framed, heartbeat))
        self._size += len(framed)
        return False

    def take(self) -> bytes:
        """A serialised RaftBatch of the oldest messages, about BATCH_BYTES; empty if none wait."""
        frames: list[bytes] = []
        room = BATCH_BYTES
        while self._queue and (not frames or len(self._queue[0].frame) <= room):
            taken = self._queue.popleft().frame
            frames.append(taken)
            room -= len(taken)
            self._size -= len(taken)
        if not self._queue:
            self._overflown = False
        return b"".join(frames)

    def clear(self) -> bool:
        """Drops everything; whether there was anything, or something was dropped before."""
        lost = bool(self._queue) or self._overflown
        self._queue.clear()
        self._size = 0
        self._overflown = False
        return lost

    def _has_room(self, size: int) -> bool:
        return len(self._queue) < self._most and self._size + size <= self._size_limit

    def _drop_older(self, context: bytes) -> None:
        for index, queued in enumerate(self._queue):
            if queued.heartbeat is not None and queued.heartbeat in (b"", context):
                self._size -= len(queued.frame)
                del self._queue[index]
                return


def _varint(number: int) -> bytes:
    """`number` in groups of seven bits, the lowest first (protobuf.dev, "Encoding")."""
    groups = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
