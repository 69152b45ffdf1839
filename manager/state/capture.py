"""The state at one moment, on its way into a snapshot. Decides nothing and changes nothing."""

from collections.abc import Iterator

from api.v1 import raft_pb2
from manager.state.changes import StoredObject, wrap

PIECE = 256
"""Objects that are encoded in one step, which no other thread can interrupt."""


class Capture:
    """The state at one moment, to be encoded at leisure, in another thread if need be."""

    def __init__(
        self,
        version: int,
        objects: list[StoredObject],
        requests: list[raft_pb2.AppliedRequest],
    ) -> None:
        self.version = version
        self._objects = objects
        self._requests = requests

    def encode(self) -> raft_pb2.StoreSnapshot:
        """The snapshot message. Safe beside a writer: objects in the store never change."""
        whole = raft_pb2.StoreSnapshot()
        for piece in self._pieces():
            whole.MergeFrom(piece)
        return whole

    def to_bytes(self) -> bytes:
        """The same, serialized: message by message, so that other threads get their turn.

        Encoded messages that follow each other are read as one (protobuf's encoding, "last one
        wins" and repeated fields).
        """
        return b"".join(piece.SerializeToString() for piece in self._pieces())

    def _pieces(self) -> Iterator[raft_pb2.StoreSnapshot]:
        yield raft_pb2.StoreSnapshot(index=self.version)
        for start in range(0, len(self._objects), PIECE):
            objects = self._objects[start : start + PIECE]
            yield raft_pb2.StoreSnapshot(objects=[wrap(obj) for obj in objects])
        for start in range(0, len(self._requests), PIECE):
            yield raft_pb2.StoreSnapshot(requests=self._requests[start : start + PIECE])
