"""A snapshot in pieces, and whole again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import (
    RaftGreeting,
    RaftMessage,
    Snapshot,
    SnapshotChunk,
    SnapshotMetadata,
)
from manager.raft.transport.chunks import CHUNK_BYTES, Assembly, split

GREETING = RaftGreeting(group_id=7, to=2)
HEAD = RaftMessage(
    type=RaftMessage.TYPE_SNAPSHOT,
    term=3,
    snapshot=Snapshot(metadata=SnapshotMetadata(index=9, term=2)),
)


def head(size: int) -> SnapshotChunk:
    return SnapshotChunk(greeting=GREETING, head=HEAD, size=size)


def whole(chunks: list[SnapshotChunk]) -> RaftMessage:
    assembly = Assembly(chunks[0])
    for chunk in chunks[1:]:
        assembly.add(chunk)
    return assembly.message()


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_a_snapshot_is_split_and_put_together(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    chunks = list(split(GREETING, HEAD, data))
    assert chunks[0] == head(size)
    assert all(0 < len(chunk.data) <= CHUNK_BYTES for chunk in chunks[1:])
    assert len(chunks) == 1 + -(-size // CHUNK_BYTES)
    expected = RaftMessage()
    expected.CopyFrom(HEAD)
    expected.snapshot.data = data
    assert whole(chunks) == expected


def test_data_in_the_message_is_left_out() -> None:
    loaded = RaftMessage()
    loaded.CopyFrom(HEAD)
    loaded.snapshot.data = b"old"
    assert next(split(GREETING, loaded, b"new")) == head(3)
    assert loaded.snapshot.data == b"old"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10))
def test_pieces_of_any_size_are_taken(pieces: list[bytes]) -> None:
    chunks = [head(sum(map(len, pieces))), *(SnapshotChunk(data=piece) for piece in pieces)]
    assert whole(chunks).snapshot.data == b"".join(pieces)


LOADED = RaftMessage()
LOADED.CopyFrom(HEAD)
LOADED.snapshot.data = b"x"


@pytest.mark.parametrize(
    "chunks",
    [
        [SnapshotChunk(size=1)],
        [SnapshotChunk(head=RaftMessage(type=RaftMessage.TYPE_APPEND), size=1)],
        [SnapshotChunk(head=LOADED, size=1)],
        [SnapshotChunk(head=HEAD, size=1, data=b"x")],
        [head(2), SnapshotChunk(data=b"x")],
        [head(1)],
        [head(2), SnapshotChunk(data=b"xyz")],
        [head(2), SnapshotChunk(data=b"xy"), SnapshotChunk(data=b"z")],
        [head(0), SnapshotChunk(data=b"x")],
        [head(1), SnapshotChunk(), SnapshotChunk(data=b"x")],
        [head(1), head(1), SnapshotChunk(data=b"x")],
        [head(1), SnapshotChunk(head=HEAD, data=b"x")],
        [head(1), SnapshotChunk(greeting=GREETING, data=b"x")],
    ],
)
def test_whatever_does_not_sum_up_is_refused(chunks: list[SnapshotChunk]) -> None:
    with pytest.raises(SwarmError) as caught:
        whole(chunks)
    assert caught.value.code is Code.INVALID


def test_the_size_is_limited_by_what_the_head_announces() -> None:
    assert Assembly(head(10), limit=10)
    with pytest.raises(SwarmError) as caught:
        Assembly(head(11), limit=10)
    assert caught.value.code is Code.EXHAUSTED
    with pytest.raises(SwarmError):
        Assembly(head((1 << 30) + 1))
