"""Answers of the kernel that are cut short or wrong are read, or refused in words; never more."""

import contextlib
import struct
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import SwarmError
from hostkit.netlink import Netlink
from hostkit.netlink_message import Message, attribute, nest, number
from overlay_net import conntrack, ctnetlink, ruleset
from overlay_net.fabric import addresses, bulk, links, observed
from overlay_net.failures import legible
from overlay_net.nft import JsonObject
from overlay_net.ruleset import Base, Content
from overlay_net.tables import Tables
from tests.support.damage import damaged, damaged_object
from tests.unit.overlay_net.test_ctnetlink import DUMPED

_DONE, _ERROR = 3, 2


def packed(kind: int, *bodies: bytes, sequence: int = 1) -> bytes:
    """What one receive brings: messages of a kind, and that there are no more."""
    end = struct.pack("=IHHIIi", 20, _DONE, 2, sequence, 0, 0)
    padded = [body + bytes(-len(body) % 4) for body in bodies]
    heads = [struct.pack("=IHHII", 16 + len(each), kind, 2, sequence, 0) for each in padded]
    return b"".join(head + body for head, body in zip(heads, padded, strict=True)) + end


_VXLAN = nest(
    18,
    attribute(1, b"vxlan\0"),
    nest(2, number(1, 4097), attribute(4, bytes([10, 0, 0, 1])), attribute(15, b"\x12\xb5")),
)
_PORT = nest(18, attribute(4, b"bridge\0"), nest(5, attribute(1, b"\3"), attribute(33, b"\1")))
_NAMED = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"vx4097\0") + attribute(1, bytes(6))
LINKS = packed(16, _NAMED + number(4, 1450) + _VXLAN, _NAMED + number(37, 1) + _PORT)
ADDRESSES = packed(20, struct.pack("=BBBBi", 2, 24, 0, 0, 7) + attribute(2, bytes([10, 0, 1, 2])))
_WAY = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 3, 0, 1, 0)
ROUTES = packed(24, _WAY + attribute(1, bytes([10, 0, 1, 0])) + attribute(5, bytes([10, 0, 1, 1])))
_PLACE = attribute(1, bytes([10, 9, 0, 1])) + attribute(2, bytes(6))
NEIGHBOURS = packed(28, struct.pack("=BxxxiHBB", 7, 7, 0x80, 2, 0) + _PLACE)
REFUSED = packed(_ERROR, struct.pack("=iIHHII", -2, 16, 0, 0, 1, 0) + attribute(1, b"no such\0"))


class Kernel:
    """A socket's other end, which says what it was told to, once."""

    def __init__(self, *says: bytes) -> None:
        self._says = list(says)

    def recv(self, _size: int) -> bytes:
        if not self._says:
            raise TimeoutError
        return self._says.pop(0)

    def send(self, data: bytes) -> int:
        return len(data)

    def settimeout(self, _seconds: float) -> None: ...
    def setsockopt(self, *_: object) -> None: ...
    def bind(self, _address: object) -> None: ...


@settings(deadline=None)
@given(damaged(LINKS), damaged(ADDRESSES), damaged(ROUTES))
def test_dumps_of_devices(devices: bytes, given_: bytes, ways: bytes) -> None:
    for says in (devices, given_, ways):
        netlink = Netlink(cast(Any, Kernel(says, ADDRESSES)))
        with contextlib.suppress(SwarmError, OSError), legible("all"):
            observed.ground(netlink, "10.0.0.1", 4789)
    for read, says in (
        (links.read_link, devices),
        (addresses.read_address, given_),
        (addresses.read_route, ways),
        (addresses.is_own, ways),
        (links.read_namespace, devices),
    ):
        netlink = Netlink(cast(Any, Kernel(says)))
        with contextlib.suppress(SwarmError, OSError), legible("all"):
            for answer in netlink.dump(Message(0, 0, b"")):
                cast(Any, read)(answer)


@settings(deadline=None)
@given(damaged(NEIGHBOURS))
def test_dumps_of_entries(says: bytes) -> None:
    netlink = Netlink(cast(Any, Kernel(says)))
    with contextlib.suppress(SwarmError, OSError), legible("all"):
        for answer in netlink.dump(Message(0, 0, b"")):
            bulk.read(answer)


@settings(deadline=None)
@given(damaged(REFUSED) | damaged(LINKS))
def test_answers_to_requests(says: bytes) -> None:
    with contextlib.suppress(SwarmError, OSError):
        Netlink(cast(Any, Kernel(says))).send([Message(16, 0, b"")])
    with contextlib.suppress(SwarmError, OSError):
        Netlink(cast(Any, Kernel(says))).get(Message(16, 0, b""))


def test_a_refusal_that_is_cut_off_is_a_refusal() -> None:
    says = struct.pack("=IHHII", 18, _ERROR, 0, 1, 0) + b"xx"
    (refused,) = Netlink(cast(Any, Kernel(says))).send([Message(16, 0, b"")])
    assert "without a number" in str(refused.error())


@settings(deadline=None)
@given(damaged(packed(0x100, DUMPED, DUMPED)))
def test_dumps_of_connections(says: bytes) -> None:
    table = cast(Any, Kernel(says))
    with contextlib.suppress(SwarmError, OSError), legible("the connection table"):
        conntrack._dump(table, conntrack._FAMILIES[0])
    with contextlib.suppress(SwarmError, OSError), legible("the connection table"):
        for _, _, body in ctnetlink.messages(says):
            ctnetlink.error_number(body)


BASE = Base(
    "inet", "t", "chain pre { type filter hook prerouting priority 0; }", ("to",), ("some",)
)
CONTENT = Content({"s-1": ""}, {("to", "10.0.0.1 . 80"): "goto s-1", ("some", "x"): ""})


class Rules:
    """nftables, which answers questions about a table out of a list."""

    def __init__(self, chains: Any, sets: Any) -> None:
        self._chains, self._sets = chains, sets
        self.done = ""

    def ask(self, _target: Path, text: str) -> list[JsonObject]:
        found = self._chains if "chains" in text else self._sets
        return cast(list[JsonObject], found)

    def run(self, _target: Path, text: str) -> None:
        self.done += text


_CHAINS = [
    {"chain": {"family": "inet", "table": "t", "name": name}}
    for name in ("pre", "s-1", BASE.version)
]
_SETS = [
    {"map": {"name": "to", "elem": [[{"concat": ["10.0.0.1", 80]}, {"goto": {"target": "s-1"}}]]}},
    {"set": {"name": "some", "elem": ["x"]}},
]


@settings(deadline=None)
@given(damaged_object(_CHAINS), damaged_object(_SETS), st.booleans())
def test_what_nftables_holds(chains: Any, sets: Any, first: bool) -> None:
    rules = Rules(chains if first else _CHAINS, _SETS if first else sets)
    with contextlib.suppress(SwarmError):
        Tables(rules).apply(Path("/x"), BASE, CONTENT)
    with contextlib.suppress(SwarmError), legible("used"):
        ruleset.members(sets)


def test_what_nftables_holds_is_left_if_it_is_right() -> None:
    rules = Rules(_CHAINS, _SETS)
    assert Tables(rules).apply(Path("/x"), BASE, CONTENT) == ""


@pytest.mark.parametrize("error", [ValueError("x"), struct.error("y"), KeyError("z")])
def test_nonsense_is_told_in_words(error: Exception) -> None:
    with pytest.raises(SwarmError, match="reading the table failed"), legible("the table"):
        raise error
