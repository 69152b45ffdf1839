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
from hostkit.netlink_message import Message
from overlay_net.fabric import observed
from overlay_net.failures import legible
from overlay_net.nft import JsonObject
from overlay_net.ruleset import Base, Content
from overlay_net.tables import Tables
from tests.fuzz.targets import TARGETS
from tests.support.damage import damaged, damaged_object
from tests.support.kernel_answers import (
    ADDRESSES,
    ERROR,
    LINKS,
    Kernel,
)


@pytest.mark.parametrize(
    ("name", "seed"), [(name, seed) for name, each in TARGETS.items() for seed in each.seeds]
)
@settings(deadline=None)
@given(st.data())
def test_what_the_fuzzer_tries_too(name: str, seed: bytes, draw: st.DataObject) -> None:
    TARGETS[name].try_(draw.draw(damaged(seed)))


@settings(deadline=None)
@given(damaged(LINKS))
def test_the_devices_of_a_host(says: bytes) -> None:
    netlink = Netlink(cast(Any, Kernel(says, ADDRESSES)))
    with contextlib.suppress(SwarmError, OSError), legible("all"):
        observed.ground(netlink, "10.0.0.1", 4789)


def test_a_refusal_that_is_cut_off_is_a_refusal() -> None:
    says = struct.pack("=IHHII", 18, ERROR, 0, 1, 0) + b"xx"
    (refused,) = Netlink(cast(Any, Kernel(says))).send([Message(16, 0, b"")])
    assert "without a number" in str(refused.error())


BASE = Base(
    "inet", "t", "chain pre {\ntype filter hook prerouting priority 0;\n}\n", ("to",), ("some",)
)
CONTENT = Content({"s-1": ""}, {("to", "10.0.0.1 . 80"): "goto s-1", ("some", "x"): ""})


class Rules:
    """nftables, which holds one table."""

    def __init__(self, listed: Any) -> None:
        self._listed = listed
        self.done = ""

    def ask(self, target: Path, text: str) -> list[JsonObject]:
        return cast(list[JsonObject], self._listed)

    def run(self, target: Path, text: str) -> None:
        self.done += text

    def generation(self, target: Path) -> int:
        return 0

    def foreign(self, target: Path) -> int:
        return 0


_LISTED: list[Any] = [
    *(
        {"chain": {"family": "inet", "table": "t", "name": name}}
        for name in ("pre", "s-1", BASE.version)
    ),
    {"map": {"name": "to", "elem": [[{"concat": ["10.0.0.1", 80]}, {"goto": {"target": "s-1"}}]]}},
    {"set": {"name": "some", "elem": ["x"]}},
]


@settings(deadline=None)
@given(damaged_object(_LISTED))
def test_what_nftables_holds(listed: Any) -> None:
    with contextlib.suppress(SwarmError):
        Tables(Rules(listed)).apply(Path("/x"), BASE, CONTENT)


def test_what_nftables_holds_is_left_if_it_is_right() -> None:
    assert Tables(Rules(_LISTED)).apply(Path("/x"), BASE, CONTENT) == ""


@pytest.mark.parametrize("error", [ValueError("x"), struct.error("y"), KeyError("z")])
def test_nonsense_is_told_in_words(error: Exception) -> None:
    with pytest.raises(SwarmError, match="reading the table failed"), legible("the table"):
        raise error
