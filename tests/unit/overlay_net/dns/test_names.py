import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay_net.dns.names import address_of, encode, join, labels_of, reverse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", b"\3web"),
        ("Web.1.ABC", b"\3web\0011\3abc"),
        ("web.", b"\3web"),
        ("", None),
        ("a..b", None),
        (".", None),
        ("a" * 63, b"\x3f" + b"a" * 63),
        ("a" * 64, None),
        (".".join(["a" * 63] * 4), None),
    ],
)
def test_names(text: str, name: bytes | None) -> None:
    assert encode(text) == name


@settings(deadline=None)
@given(st.ip_addresses())
def test_reverse_names_lead_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert reverse(address.packed) == encode(address.reverse_pointer)
    assert address_of(reverse(address.packed)) == address


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_other_names_are_no_addresses(data: bytes) -> None:
    labels = [data[i : i + 9] for i in range(0, len(data), 9)]
    name = b"".join(bytes([len(label)]) + label for label in labels)
    assert labels_of(name) == labels
    assert address_of(name) is None


@pytest.mark.parametrize(
    "text",
    [
        "10.in-addr.arpa",
        "in-addr.arpa",
        "1.2.3.256.in-addr.arpa",
        "1.2.3.x.in-addr.arpa",
        "1.2.3.4.5.in-addr.arpa",
        "g" + ".0" * 31 + ".ip6.arpa",
        "_" + ".0" * 31 + ".ip6.arpa",
        "0._" + ".0" * 30 + ".ip6.arpa",
        "1.2.ip6.arpa",
        ".".join(["00"] * 32) + ".ip6.arpa",
        "1.2.3.é.in-addr.arpa",
    ],
)
def test_parts_of_reverse_names_are_no_addresses(text: str) -> None:
    name = encode(text)
    assert name is not None
    assert address_of(name) is None


def test_a_joined_name_may_be_too_long() -> None:
    half = encode(".".join(["a" * 63, "b" * 63]))
    assert half is not None
    assert join(half, b"\3net") == half + b"\3net"
    assert join(half, half) is None
