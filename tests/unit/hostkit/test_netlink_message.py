import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit import netlink_message as m

DATA = st.binary(max_size=40)


@given(st.dictionaries(st.integers(1, 0x3FFF), DATA, max_size=6))
def test_attributes_come_back(wanted: dict[int, bytes]) -> None:
    packed = b"".join(m.attribute(kind, data) for kind, data in wanted.items())
    assert len(packed) % 4 == 0
    assert m.attributes(packed) == wanted
    assert m.attributes(b"head" + packed, 4) == wanted


def test_a_nest_is_read_by_its_plain_type() -> None:
    packed = m.nest(18, m.text(1, "veth"), m.number(2, 7), m.flag(3, True))
    inner = m.attributes(m.attributes(packed)[18])
    assert inner == {1: b"veth\0", 2: struct.pack("=I", 7), 3: b"\1"}


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), DATA), max_size=5))
def test_messages_come_back(wanted: list[tuple[int, bytes]]) -> None:
    padded = [(kind, body + b"\0" * (-len(body) % 4)) for kind, body in wanted]
    data = b"".join(m.Message(kind, 0, body).pack(n, 1) for n, (kind, body) in enumerate(padded))
    found = list(m.answers(data))
    assert [(each.type, each.body) for each in found] == padded
    assert [each.sequence for each in found] == list(range(len(padded)))


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_without_failing(data: bytes) -> None:
    for answer in m.answers(data):
        m.attributes(answer.body)
    m.attributes(data)


@pytest.mark.parametrize(
    ("flags", "body", "failure"),
    [
        pytest.param(0, struct.pack("=i", 0) + bytes(16), (0, ""), id="acknowledged"),
        pytest.param(0x100, struct.pack("=i", -17) + bytes(16), (17, ""), id="refused"),
        pytest.param(
            0x300,
            struct.pack("=i", -17) + bytes(16) + m.text(1, "taken"),
            (17, "taken"),
            id="refused in words, the message not repeated",
        ),
        pytest.param(
            0x200,
            struct.pack("=iIHHII", -2, 24, 16, 0, 0, 0) + bytes(8) + m.text(1, "gone"),
            (2, "gone"),
            id="refused in words, the message repeated",
        ),
    ],
)
def test_what_a_refusal_says(flags: int, body: bytes, failure: tuple[int, str]) -> None:
    assert m.Answer(m.NLMSG_ERROR, flags, 1, body).failure() == failure
