import re
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from overlay_net import spread
from overlay_net.spread import STICKY_MOST, STICKY_SLOTS, Way

REFUSAL = "meta l4proto tcp reject with tcp reset\nreject with icmpx port-unreachable\n"

ADDRESSES = st.sets(st.integers(1, 250), min_size=1, max_size=STICKY_MOST).map(
    lambda numbers: [f"10.0.0.{number}" for number in numbers]
)


@pytest.mark.parametrize(
    ("addresses", "way", "expected"),
    [
        ([], Way(), REFUSAL),
        (
            ["10.0.0.2", "10.0.0.1"],
            Way(),
            "meta nfproto ipv4 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }\n"
            + REFUSAL,
        ),
        (
            ["10.0.0.1", "10.0.0.2", "fd00::1"],
            Way(start=5),
            "meta nfproto ipv4 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.1 }\n"
            "meta nfproto ipv6 dnat ip6 to numgen inc mod 1 map { 0 : fd00::1 }\n",
        ),
        (
            ["fd00::1"],
            Way(protocol="udp", port=53),
            "meta nfproto ipv6 meta l4proto udp dnat ip6 to numgen inc mod 1 "
            "map { 0 : fd00::1 . 53 }\n" + REFUSAL,
        ),
    ],
)
def test_rules(addresses: list[str], way: Way, expected: str) -> None:
    assert spread.rules(addresses, way) == expected


def owners(addresses: list[str]) -> dict[int, str]:
    text = spread.rules(addresses, Way(sticky=True))
    assert f"jhash ip saddr mod {STICKY_SLOTS} " in text
    return {int(slot): owner for slot, owner in re.findall(r"(\d+) : ([\d.]+)", text)}


@given(ADDRESSES)
def test_every_slot_has_an_owner_of_the_addresses(addresses: list[str]) -> None:
    found = owners(addresses)
    assert found.keys() == set(range(STICKY_SLOTS))
    assert set(found.values()) <= set(addresses)


@given(ADDRESSES, st.data())
def test_one_that_goes_moves_only_its_own_clients(
    addresses: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(addresses))
    rest = [each for each in addresses if each != gone]
    if rest:
        before, after = owners(addresses), owners(rest)
        assert all(before[slot] in (gone, after[slot]) for slot in before)


def test_clients_are_spread_about_evenly() -> None:
    found = list(owners([f"10.0.0.{n}" for n in range(1, 5)]).values())
    assert all(40 <= found.count(each) <= 90 for each in set(found))


def test_many_sticky_backends_have_a_slot_each() -> None:
    many = [f"10.0.{n // 256}.{n % 256}" for n in range(300)]
    text = spread.rules(many, Way(sticky=True))
    assert "jhash ip saddr mod 300 " in text
    slots = [int(slot) for slot in re.findall(r"(\d+) : ", text)]
    assert slots[0] == 0
    assert all(after == before + 1 for before, after in pairwise(slots))
