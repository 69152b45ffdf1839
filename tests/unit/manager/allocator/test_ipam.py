"""What can be handed out in a network, and which subnet is chosen."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.v1 import specs_pb2
from manager.allocator.ipam import V4, V6, Room, choose, complete, parsed

Pool = specs_pb2.IpamConfig


def handed_out(*pools: Pool, family: int = V4) -> list[str]:
    room, found = Room(complete(pool) for pool in pools), []
    while (next_one := room.lowest(family)) is not None:
        room.take(next_one[0])
        found.append(next_one[1])
    return found


def test_the_ends_the_gateway_and_what_is_reserved_are_never_handed_out() -> None:
    pool = Pool(subnet="10.0.1.0/29", aux_addresses={"router": "10.0.1.4"})
    assert handed_out(pool) == [f"10.0.1.{n}/29" for n in (2, 3, 5, 6)]


def test_of_an_ip_range_only_what_lies_in_it() -> None:
    pool = Pool(subnet="10.0.1.0/24", ip_range="10.0.1.252/30")
    assert handed_out(pool) == [f"10.0.1.{n}/24" for n in (252, 253, 254)]
    room = Room([pool])
    for n in (252, 253, 254):
        room.take(parsed(f"10.0.1.{n}"))
    assert room.full() == "10.0.1.252/30 of 10.0.1.0/24"


def test_a_second_subnet_comes_after_the_first() -> None:
    pools = Pool(subnet="10.0.1.0/30"), Pool(subnet="10.0.0.0/30")
    assert handed_out(*pools) == ["10.0.1.2/30", "10.0.0.2/30"]


def test_ipv6() -> None:
    assert handed_out(Pool(subnet="fd00::/126"), family=V6) == ["fd00::2/126"]


def test_what_was_given_back_is_handed_out_again_and_the_gateway_is_not() -> None:
    room = Room([complete(Pool(subnet="10.0.1.0/29"))])
    for text in ("10.0.1.2", "10.0.1.3"):
        room.take(parsed(text))
    assert room.usage() == (2, 5)
    for text in ("10.0.1.2", "10.0.1.1", "10.0.9.1", "fd00::1"):
        room.give(parsed(text))
    found = room.lowest(V4)
    assert found is not None
    assert found[1] == "10.0.1.2/29"
    assert room.usage() == (1, 5)


def test_a_gateway_is_the_first_address_that_is_not_spoken_for() -> None:
    assert complete(Pool(subnet="10.0.1.0/24")).gateway == "10.0.1.1"
    taken = Pool(subnet="10.0.1.0/24", aux_addresses={"a": "10.0.1.1"})
    assert complete(taken).gateway == "10.0.1.2"
    assert complete(Pool(subnet="10.0.1.0/24", gateway="10.0.1.9")).gateway == "10.0.1.9"


@pytest.mark.parametrize(
    ("pools", "size", "taken", "last", "expected"),
    [
        (["10.0.0.0/8"], 24, [], False, "10.0.0.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.0/24"], False, "10.0.1.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.0/16", "10.1.0.7/32"], False, "10.1.1.0/24"),
        (["10.0.0.0/8"], 16, [], True, "10.255.0.0/16"),
        (["10.0.0.0/8"], 16, ["10.255.1.0/24"], True, "10.254.0.0/16"),
        (["10.0.0.0/30", "10.9.0.0/16"], 24, [], False, "10.9.0.0/24"),
        (["10.0.0.0/24"], 24, ["10.0.0.9/32"], False, None),
        (["10.0.0.0/24"], 24, ["10.0.0.9/32"], True, None),
        (["fd00::/48"], 64, ["fd00::/64", "10.0.0.0/8"], False, "fd00:0:0:1::/64"),
    ],
)
def test_the_first_subnet_that_is_free(
    pools: list[str], size: int, taken: list[str], last: bool, expected: str | None
) -> None:
    found = choose(
        [ipaddress.ip_network(p) for p in pools],
        size,
        [ipaddress.ip_network(t) for t in taken],
        last=last,
    )
    assert (None if found is None else str(found)) == expected


SUBNETS = st.builds(
    lambda start, length: ipaddress.ip_network((start & 0xFFFF | 0x0A000000, length), strict=False),
    st.integers(0, 0xFFFF),
    st.integers(18, 32),
)


@given(st.lists(SUBNETS, max_size=12), st.integers(18, 24), st.booleans())
def test_it_is_the_one_that_a_search_finds(taken: list[object], size: int, last: bool) -> None:
    nets = [t for t in taken if isinstance(t, ipaddress.IPv4Network)]
    whole = ipaddress.IPv4Network("10.0.0.0/16")
    free = [s for s in whole.subnets(new_prefix=size) if not any(s.overlaps(t) for t in nets)]
    expected = (free[-1] if last else free[0]) if free else None
    assert choose([whole], size, nets, last=last) == expected
