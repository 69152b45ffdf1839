"""What a record says comes back; what says nothing sensible is refused."""

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfState, Entry, HardState, SnapshotMetadata
from manager.raft.durable import record
from manager.raft.durable.record import Record


def test_a_record_comes_back() -> None:
    entries = [Entry(term=2**60, index=7, data=b"x" * 1000), Entry()]
    entries.append(Entry(type=Entry.TYPE_CONF_CHANGE))
    state = HardState(term=3, vote=2**64 - 1, commit=7)
    mark = SnapshotMetadata(index=5, term=2, conf=ConfState(voters=[1, 2], auto_leave=True))
    for made in (Record(), Record(entries, state, mark), Record([], None, mark, anew=True)):
        payload = record.encode(made.entries, made.hard_state, made.snapshot, anew=made.anew)
        assert record.decode("f", 0, payload) == made


@pytest.mark.parametrize(
    ("payload", "code", "why"),
    [
        (b"\x01\x00", Code.INTERNAL, "f is damaged at byte 99: a record holds half an item"),
        (b"\x01\x00\x00\x00\x05abc", Code.INTERNAL, "a record holds half an item"),
        (b"\x02\x00\x00\x00\x01\xff", Code.INTERNAL, "a record holds no valid message"),
        (b"\x09\x00\x00\x00\x00", Code.UNSUPPORTED, "item kind 9 is not known to this version"),
    ],
)
def test_nonsense_is_refused(payload: bytes, code: Code, why: str) -> None:
    with pytest.raises(SwarmError, match=why) as caught:
        record.decode("f", 99, payload)
    assert caught.value.code == code
