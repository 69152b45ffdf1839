import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overlay_net.dns.message import (
    BADVERS,
    FORMERR,
    NOTIMP,
    Edns,
    MessageError,
    failure,
    parse,
    record,
    records,
    reply,
)
from tests.support.dns_messages import A, question, read, wire


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


WEB = question("Web.Example")
EDNS = question("web", edns=1232)
OPT = EDNS[-11:]


def test_a_question_is_read() -> None:
    query = parse(WEB)
    assert (query.id, query.flags, query.type, query.klass) == (0x1234, 0x0100, 1, 1)
    assert query.name + b"\0" == wire("web.example")
    assert query.question == wire("Web.Example") + b"\0\1\0\1"
    assert query.raw == WEB
    assert query.edns is None
    assert query.udp_limit() == 512


@pytest.mark.parametrize(
    ("size", "limit"), [(0, 512), (511, 512), (1232, 1232), (4096, 4096), (65535, 4096)]
)
def test_edns_says_how_long_an_answer_may_be(size: int, limit: int) -> None:
    query = parse(question("web", edns=size))
    assert query.edns == Edns(size, 0, False)
    assert query.udp_limit() == limit


def test_the_root_may_be_asked_for() -> None:
    assert parse(question("")).name == b""


SECOND = patched(WEB, 4, b"\0\2") + wire("b") + b"\0\1\0\1"
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"", None),
        (WEB[:11], None),
        (patched(WEB, 2, b"\x81"), None),  # an answer
        (patched(WEB, 2, b"\x29"), NOTIMP),  # UPDATE
        (patched(WEB, 2, b"\x10"), NOTIMP),  # STATUS
        (patched(WEB, 2, b"\x03"), FORMERR),  # truncated
        (patched(WEB, 4, b"\0\0"), FORMERR),
        (SECOND, FORMERR),
        (WEB[:-1], FORMERR),
        (WEB[:-5], FORMERR),
        (WEB[:14], FORMERR),
        (WEB + b"x", FORMERR),
        (WEB[:12] + b"\xc0\x0c\0\1\0\1", FORMERR),  # compressed
        (WEB[:12] + b"\x01a\xc0\x0c\0\1\0\1", FORMERR),
        (WEB[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", FORMERR),
        (question(LONGEST + "d"), FORMERR),
        (WEB[:12] + b"\x01a" * 5000, FORMERR),
        (patched(WEB, 6, b"\0\1"), FORMERR),  # a record that is not there
        (patched(EDNS, 10, b"\0\2") + OPT, FORMERR),  # two OPT records
        (EDNS[:-11] + b"\x01a" + OPT, FORMERR),  # OPT with a name
        (EDNS[:-11] + b"\xc0\x0c" + OPT[1:], FORMERR),
        (EDNS[:-2] + b"\0\5", FORMERR),
    ],
)
def test_what_is_no_question_to_answer(data: bytes, rcode: int | None) -> None:
    with pytest.raises(MessageError) as refused:
        parse(data)
    assert refused.value.rcode == rcode


def test_the_longest_name() -> None:
    assert len(parse(question(LONGEST)).name) == 254


def test_options_and_other_records_behind_are_read_over() -> None:
    cookie = OPT[:-2] + b"\0\x0c" + b"\0\x0a\0\x08" + b"c" * 8
    other = b"\0\0\xfa\0\xff\0\0\0\0\0\1x"  # TSIG
    query = parse(patched(EDNS[:-11], 10, b"\0\2") + cookie + other)
    assert query.edns == Edns(1232, 0, False)


@settings(deadline=None)
@given(st.binary(max_size=600))
@example(b"\0" * 12)
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    rcode: int | None = None
    try:
        parse(data)
    except MessageError as error:
        rcode = error.rcode
    if rcode is not None:
        assert read(failure(data, rcode)).rcode == rcode


@settings(deadline=None)
@given(st.sampled_from([WEB, EDNS, SECOND]), st.data())
def test_no_damage_raises_anything_else(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(2, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        query = parse(bytes(damaged))
    except MessageError:
        return
    assert query.name == query.question[:-5].lower()


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 20))
def test_no_records_raise_anything_else(data: bytes, count: int) -> None:
    try:
        found = list(records(data, 0, count))
    except MessageError:
        return
    assert len(found) == count
    assert all(each.data <= each.end <= len(data) for each in found)


def test_answers_are_what_resolvers_read() -> None:
    query = parse(question("WEB", ident=7, edns=1232))
    message = read(reply(query, answers=(1, record(A, 5, bytes([10, 0, 1, 2])))))
    assert (message.ident, message.flags, message.name) == (7, 0x8580, "WEB")
    assert message.addresses() == ["10.0.1.2"]
    assert message.answers[0].owner == "WEB"
    assert len(message.additional) == 1


def test_an_extended_code_is_in_the_opt_record() -> None:
    message = read(reply(parse(EDNS), BADVERS, flags=0))
    assert (message.rcode, message.additional[0].ttl >> 24) == (0, 1)


def test_a_failure_repeats_what_was_asked_to_be_done() -> None:
    assert read(failure(patched(WEB, 2, b"\x29"), NOTIMP)).flags == 0x8000 | 0x2900 | 0x80 | 4
