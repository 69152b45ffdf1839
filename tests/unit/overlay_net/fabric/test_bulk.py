import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.netlink_message import Answer, Message
from overlay_net.fabric import bulk

MAC = st.binary(min_size=6, max_size=6)
ADDRESS = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
ENTRIES = st.one_of(st.dictionaries(MAC, ADDRESS), st.dictionaries(ADDRESS, MAC))


def answer(message: Message) -> Answer:
    return Answer(bulk.RTM_NEWNEIGH, 0, 0, message.body)


@given(st.integers(1, 1 << 30), ENTRIES)
def test_entries_come_back(index: int, entries: dict[bytes, bytes]) -> None:
    messages = list(bulk.put(index, entries))
    found = [bulk.read(answer(message)) for message in messages]
    assert found == [(index, key, value) for key, value in entries.items()]
    assert all(len(message.body) % 4 == 0 for message in messages)
    dropped = list(bulk.drop(index, entries))
    assert [each.body for each in dropped] == [each.body for each in messages]
    assert {each.type for each in dropped} <= {bulk.RTM_DELNEIGH}


def test_a_forwarding_entry_as_the_kernel_wants_it() -> None:
    (message,) = bulk.put(7, {bytes.fromhex("02420a000105"): bytes([10, 99, 0, 2])})
    assert message.type == 28
    assert message.flags == 0x500  # create, replace: an appended one would not move
    head = struct.pack("=BxxxiHBB", 7, 7, 0x80, 2, 0)
    assert message.body == head + bytes.fromhex("0800 0100 0a630002 0a00 0200 02420a000105 0000")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(struct.pack("=BxxxiHBB", 2, 7, 0x02, 0, 0), id="learnt"),
        pytest.param(struct.pack("=BxxxiHBB", 7, 7, 0x80, 2, 0), id="without attributes"),
    ],
)
def test_what_is_none_of_ours(body: bytes) -> None:
    assert bulk.read(Answer(bulk.RTM_NEWNEIGH, 0, 0, body)) is None
    assert bulk.read(Answer(3, 0, 0, body)) is None
