import json
from typing import Any

import pytest

from machine.drivers.lab.cuts import Cuts, parse

META = {"metainfo": {"version": "1.0.6"}}
TABLE = {"table": {"family": "bridge", "name": "lab"}}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"set": {"family": "bridge", "name": name, "table": "lab", **more}}


def ways(*pairs: tuple[str, str]) -> list[dict[str, list[str]]]:
    return [{"concat": list(pair)} for pair in pairs]


def test_a_host_may_be_cut_in_any_way() -> None:
    cuts = Cuts(frozenset({"m1"}), mute=frozenset({"w1"}), deaf=frozenset({"w1", "w2"}))
    assert cuts.any_way == {"m1", "w1", "w2"}


@pytest.mark.parametrize(
    ("entries", "cuts"),
    [
        ([], Cuts()),
        ([TABLE, named("alone"), named("parted")], Cuts()),
        (
            [named("alone"), named("mute", elem=["m1"]), named("deaf", elem=["m1", "m2"])],
            Cuts(mute=frozenset({"m1"}), deaf=frozenset({"m1", "m2"})),
        ),
        (
            [TABLE, named("alone", elem=["m1", "w1"]), named("parted")],
            Cuts(frozenset({"m1", "w1"})),
        ),
        (
            [named("parted", elem=ways(("w1", "m1"), ("m1", "w1"), ("w2", "m1"), ("m1", "w2")))],
            Cuts(parted=frozenset({("m1", "w1"), ("m1", "w2")})),
        ),
    ],
)
def test_each_cut_is_told_once(entries: list[dict[str, Any]], cuts: Cuts) -> None:
    assert parse(json.dumps({"nftables": [META, *entries]})) == cuts
