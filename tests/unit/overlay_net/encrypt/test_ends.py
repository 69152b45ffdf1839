import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.v1 import network_pb2
from overlay_net.encrypt.ends import PREFIX, address_of, end_of, mtu_within, trouble_of

OWN = address_of("n1")


def peer(node: str = "n1", key: bytes = bytes(32), address: str = OWN) -> network_pb2.NetworkPeer:
    return network_pb2.NetworkPeer(node_id=node, wireguard_key=key, wireguard_address=address)


def test_an_address_never_changes() -> None:
    assert OWN == "fd53:7761:726d:676b:8bb8:4ce7:267d:d520"
    assert PREFIX.network_address.packed[:6] == b"\xfdSwarm"


@given(st.text(), st.text())
def test_each_node_has_its_own(one: str, other: str) -> None:
    assert (address_of(one) == address_of(other)) is (one == other)
    assert address_of(one).startswith("fd53:7761:726d:")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (peer(), ""),
        (peer(key=b""), "no key"),
        (peer(key=b"\1"), "is none"),
        (peer("n2"), "not its own"),
        (peer(address=""), "no address"),
    ],
)
def test_who_is_reached(told: network_pb2.NetworkPeer, words: str) -> None:
    assert words in trouble_of(told)
    assert bool(trouble_of(told)) is bool(words)
    assert end_of(told) == ("" if words else OWN)


def test_what_wireguard_adds() -> None:
    assert (mtu_within(1500, 4), mtu_within(1500, 6)) == (1440, 1420)
