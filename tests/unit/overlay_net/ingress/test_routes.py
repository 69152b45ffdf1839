"""A node's routes and rules are made, stay when they are asked for again, and go with the ports."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from overlay_net.ingress import routes
from overlay_net.ingress.host import Node
from overlay_net.ingress.task import Task
from tests.support.wires import Wires

pytestmark = pytest.mark.root

POOLS = ("10.255.0.0/16", "fd00:255::/64")
MARK = "fwmark 0x40000000/0x40000000 lookup 4096"


@pytest.fixture
def place() -> Iterator[Path]:
    with closing(Wires()) as net:
        path = net.namespace("routes")
        net.ip(path, "link add ing0 type bridge", "link set ing0 up")
        yield path


def shown(path: Path, *words: str) -> list[str]:
    """What `ip` says, of both families."""
    found = []
    for family in ("-4", "-6"):
        argv = ["ip", "-n", path.name, family, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        found += [" ".join(line.split()) for line in done.stdout.splitlines()]
    return found


def test_of_a_node(place: Path) -> None:
    before = shown(place, "rule")
    node = Node("n", place, "ing0", 1450, POOLS)
    for _ in range(2):
        routes.apply_node(node)
    added = [rule for rule in shown(place, "rule") if rule not in before]
    assert added == [f"100: from all {MARK}"] * 2
    ways = shown(place, "route", "show", "table", "4096")
    assert [way.partition(" dev ")[0] for way in ways] == list(POOLS)
    assert all(" dev ing0 proto static" in way for way in ways)
    for _ in range(2):
        routes.remove_node(node)
    assert shown(place, "rule") == before


def test_of_a_task(place: Path) -> None:
    before = shown(place, "rule")
    for _ in range(2):
        routes.apply(Task(place, "ing0", POOLS))
    added = [rule for rule in shown(place, "rule") if rule not in before]
    assert added == [f"100: from all {MARK}", "33000: from all lookup 4096"] * 2
    ways = shown(place, "route", "show", "table", "4096")
    assert [way.partition(" proto ")[0] for way in ways] == [
        "default via 169.254.255.254 dev ing0",
        "default via fe80::42 dev ing0",
    ]
    assert set(shown(place, "neigh", "show", "nud", "permanent", "dev", "ing0")) >= {
        "169.254.255.254 lladdr 02:42:a9:fe:ff:fe PERMANENT",
        "fe80::42 lladdr 02:42:a9:fe:ff:fe PERMANENT",
    }


def test_without_the_leg(place: Path) -> None:
    with pytest.raises(OSError, match="no device ing7"):
        routes.apply_node(Node("n", place, "ing7", 1450, POOLS))
