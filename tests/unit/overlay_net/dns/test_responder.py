import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay_net.dns.directory import Directory
from overlay_net.dns.message import Query
from overlay_net.dns.responder import quick, respond
from overlay_net.dns.zone import Zone
from tests.support.dns_messages import AAAA, OPT, A, question, read
from tests.support.dns_networks import endpoint, network, service

CROWD = 100


def crowd() -> Zone:
    directory = Directory()
    directory.put_network(network("net"))
    directory.put_service(service("net", "web", ["10.0.1.2"]))
    directory.put_service(service("net", "many", dnsrr=True))
    for number in range(CROWD):
        directory.put_endpoint(
            endpoint("net", f"many.{number}", f"10.0.1.{100 + number}/24", service="many")
        )
    zone = directory.zone(["id-net"])
    for name in ("web", "many"):
        for type_ in (A, AAAA):
            respond(question(name, type_), zone)
    return zone


ZONE = crowd()


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (question("web")[:15], 1),
        (question("web", flags=0x2800), 4),
        (question("web", 252), 5),  # AXFR
        (question("web", 251), 5),  # IXFR
        (question("web", OPT), 1),
        (question("web")[:-1] + b"\3", 5),  # class CH
        (question("version.bind", 16)[:-1] + b"\3", 5),
        (question("web")[:-1] + b"\xff", 0),  # class ANY
    ],
)
def test_what_is_not_ours_to_do_is_refused(data: bytes, rcode: int) -> None:
    assert quick(data, ZONE.ready) is None
    reply = respond(data, ZONE)
    assert isinstance(reply, bytes)
    assert read(reply).rcode == rcode


def test_another_version_of_edns_is_refused() -> None:
    data = bytearray(question("web", edns=1232))
    data[-5] = 1
    assert quick(bytes(data), ZONE.ready) is None
    reply = respond(bytes(data), ZONE)
    assert isinstance(reply, bytes)
    message = read(reply)
    assert (message.rcode, message.additional[0].ttl >> 24, message.answers) == (0, 1, [])


@pytest.mark.parametrize("data", [b"", question("web", flags=0x8180)])
def test_answers_are_not_answered(data: bytes) -> None:
    assert respond(data, ZONE) is None
    assert quick(data, ZONE.ready) is None


def test_what_is_unknown_is_passed_on_as_it_came() -> None:
    data = question("example.com", edns=1232)
    query = respond(data, ZONE)
    assert isinstance(query, Query)
    assert query.raw == data


@pytest.mark.parametrize(
    ("edns", "limit", "whole"),
    [(None, 512, False), (100, 512, False), (1232, 1232, False), (4096, 4096, True)],
)
def test_long_answers_are_cut_and_say_so(edns: int | None, limit: int, whole: bool) -> None:
    data = question("many", edns=edns)
    assert quick(data, ZONE.ready) is None
    reply = respond(data, ZONE)
    assert isinstance(reply, bytes)
    message = read(reply)
    assert message.truncated is not whole
    assert len(reply) <= limit
    assert len(message.additional) == (edns is not None)
    # What fits is there, for clients that know no TCP.
    assert limit - len(reply) < 16 or whole
    assert whole == (len(message.answers) == CROWD)


def test_what_is_cut_is_not_the_same_each_time() -> None:
    seen: set[str] = set()
    for _ in range(CROWD):
        reply = respond(question("many"), ZONE)
        assert isinstance(reply, bytes)
        seen.update(read(reply).addresses())
    assert len(seen) == CROWD


def test_by_tcp_nothing_is_cut() -> None:
    reply = respond(question("many"), ZONE, 65_535)
    assert isinstance(reply, bytes)
    message = read(reply)
    assert (message.truncated, len(set(message.addresses()))) == (False, CROWD)


@settings(deadline=None)
@given(
    st.sampled_from(["web", "WEB", "many", "nobody"]),
    st.sampled_from([A, AAAA]),
    st.sampled_from([None, 512, 1232, 4096]),
    st.integers(0, 0xFFFF),
    st.booleans(),
    st.integers(0, 0xFFFF),
)
def test_the_quick_answer_is_the_careful_one(
    name: str, type_: int, edns: int | None, flags: int, dnssec: bool, ident: int
) -> None:
    """But for the order of several."""
    data = bytearray(question(name, type_, ident=ident, flags=flags, edns=edns))
    if edns is not None and dnssec:
        data[-4] |= 0x80
    short = quick(bytes(data), ZONE.ready)
    careful = respond(bytes(data), ZONE)
    if name != "many":
        assert short in {None, careful}
    elif short is not None:
        assert isinstance(careful, bytes)
        assert short[:12] == careful[:12]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_server(data: bytes) -> None:
    quick(data, ZONE.ready)
    respond(data, ZONE)


@settings(deadline=None)
@given(st.data())
def test_no_damaged_question_breaks_the_server(draw: st.DataObject) -> None:
    data = bytearray(question("_80._tcp.web", 33, edns=1232))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    quick(bytes(data), ZONE.ready)
    respond(bytes(data), ZONE)


def test_a_name_with_a_zero_in_a_label_is_not_taken_for_a_shorter_one() -> None:
    data = question("web")[:12] + b"\3web\2\0a\0" + struct.pack("!HH", A, 1)
    assert quick(data, ZONE.ready) is None
    assert isinstance(respond(data, ZONE), Query)
