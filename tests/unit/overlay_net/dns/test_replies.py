import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay_net.dns.message import MessageError, parse
from overlay_net.dns.replies import MAX_TTL, aged, answer_from, question_to, read
from tests.support import dns_messages
from tests.support.dns_messages import SOA, A, answer, question, record, soa

IDENT = 0x4242
QUERY = parse(question("Example.COM", edns=1232))
SENT = question_to(QUERY, IDENT)
ONE = record("example.com", A, 300, bytes(4))
TWO = record("example.com", A, 60, bytes(4))
NOTHING = soa("com", 900, 30)
BROKEN_SOA = record("com", SOA, 900, b"ab")


def test_a_question_is_passed_on_under_another_id() -> None:
    assert SENT[:2] == b"\x42\x42"
    assert SENT[2:] == QUERY.raw[2:]


@pytest.mark.parametrize(
    ("data", "ttl"),
    [
        (answer(SENT, [ONE]), 300),
        (answer(SENT, [ONE, TWO]), 60),
        (answer(SENT, [record("example.com", A, 0, bytes(4))]), 0),
        (answer(SENT, [record("example.com", A, 999_999, bytes(4))]), MAX_TTL),
        (answer(SENT, [record("example.com", A, 1 << 31, bytes(4))]), 0),
        (answer(SENT, [ONE], flags=0x8380), 0),  # truncated
        (answer(SENT, [], authority=[NOTHING]), 30),
        (answer(SENT, [], authority=[soa("com", 20, 30)]), 20),
        (answer(SENT, [], authority=[NOTHING], rcode=3), 30),
        (answer(SENT, [], rcode=3), 0),  # without SOA
        (answer(SENT, [], authority=[NOTHING], rcode=2), 0),
        (answer(SENT, [], rcode=5), 0),
        (answer(SENT.replace(b"Example", b"eXAMPLE"), [ONE]), 300),
    ],
)
def test_how_long_an_answer_holds(data: bytes, ttl: int) -> None:
    assert read(data, QUERY, IDENT).ttl == ttl


def test_an_opt_record_is_no_time_to_live() -> None:
    data = bytearray(answer(SENT, [ONE])) + struct.pack("!BHHIH", 0, 41, 1232, 0, 0)
    data[11] = 1
    found = read(bytes(data), QUERY, IDENT)
    assert (found.ttl, len(found.ttls)) == (300, 1)
    assert aged(found, 7)[-11:] == data[-11:]
    data[-6] = 1  # an extended code: BADVERS
    assert read(bytes(data), QUERY, IDENT).ttl == 0


OTHER = question("example.org", edns=1232, ident=IDENT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SENT,  # the question itself
        answer(QUERY.raw, [ONE]),  # another id
        answer(OTHER, [ONE]),
        answer(SENT, [ONE], flags=0xA980),
        answer(SENT, [ONE])[:-1],
        answer(SENT[:-13] + b"\x1c" + SENT[-12:], [ONE]),  # AAAA
        answer(SENT, [], authority=[BROKEN_SOA]),
        answer(SENT, [ONE])[:12],
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(MessageError):
        read(data, QUERY, IDENT)


def test_an_answer_is_given_in_the_askers_id_and_spelling() -> None:
    data = answer(SENT.replace(b"Example", b"eXAMPLE"), [ONE])
    given_back = dns_messages.read(answer_from(data, QUERY, 512))
    assert (given_back.ident, given_back.name) == (0x1234, "Example.COM")
    assert given_back.addresses() == ["0.0.0.0"]  # noqa: S104


def test_an_answer_that_is_too_long_is_cut_and_says_so() -> None:
    data = answer(SENT, [ONE] * 40)
    cut = dns_messages.read(answer_from(data, QUERY, 512))
    assert (cut.truncated, cut.answers) == (True, [])
    assert not dns_messages.read(answer_from(data, QUERY, 4096)).truncated


def test_times_to_live_go_down_and_never_below_zero() -> None:
    found = read(answer(SENT, [ONE, TWO]), QUERY, IDENT)
    assert [r.ttl for r in dns_messages.read(aged(found, 59)).answers] == [241, 1]
    assert [r.ttl for r in dns_messages.read(aged(found, 61)).answers] == [239, 0]


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise_anything_else(tail: bytes, begun: bool) -> None:
    data = answer(SENT, [])[: 12 + len(QUERY.question)] + tail if begun else tail
    if begun:
        data = data[:6] + b"\0\2\0\1\0\1" + data[12:]
    try:
        found = read(data, QUERY, IDENT)
    except MessageError:
        return
    assert len(aged(found, 10)) == len(data)
    assert 0 <= found.ttl <= MAX_TTL
