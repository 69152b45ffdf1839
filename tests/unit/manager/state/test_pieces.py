"""An encoded message in pieces is the message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.v1 import objects_pb2, raft_pb2
from manager.state.pieces import pieces


def snapshot(names: list[str], requests: int = 3) -> raft_pb2.StoreSnapshot:
    made = raft_pb2.StoreSnapshot(index=1 << 40)
    for name in names:
        made.objects.add().node.CopyFrom(objects_pb2.Node(id=name))
    for number in range(requests):
        made.requests.add(request_id=f"r{number}", index=number)
    return made


@given(
    names=st.lists(st.text(max_size=300), max_size=40),
    requests=st.integers(0, 5),
    size=st.integers(1, 2000),
)
def test_the_pieces_are_the_message(names: list[str], requests: int, size: int) -> None:
    whole = snapshot(names, requests)
    data = whole.SerializeToString()
    parts = list(pieces(data, size))
    assert b"".join(parts) == data
    read = raft_pb2.StoreSnapshot()
    for part in parts:
        read.MergeFrom(raft_pb2.StoreSnapshot.FromString(part))
        assert part
    assert read == whole
    assert all(len(part) >= size for part in parts[:-1])


def test_no_piece_is_much_larger_than_asked() -> None:
    data = snapshot(["n" * 90] * 1000).SerializeToString()
    assert max(map(len, pieces(data, 1000))) < 1100


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x12\x05ab", b"\x12", b"\x0d\x00\x00\x00\x00", b"\x80\x80", b"\x12\xff"],
)
def test_what_is_no_message_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends early|wire type"):
        list(pieces(data, 10))
