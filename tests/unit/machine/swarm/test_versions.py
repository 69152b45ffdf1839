"""Which version is gone back to, and which cannot be had."""

import pytest

from api.errors import SwarmError
from machine.swarm.seen import HostSeen, NodeSeen, Seen
from machine.swarm.versions import before, not_to_be_had
from machine.swarm.wanted import HostWanted, SwarmWanted
from machine.target import Target


def seen(*versions: tuple[str, str]) -> Seen:
    """Hosts h0, h1, ... that run the first version, and ran the second before."""
    hosts = {
        f"h{number}": HostSeen(version=version, previous=previous, node_id=f"n{number}")
        for number, (version, previous) in enumerate(versions)
    }
    return Seen(hosts, {each.node_id: NodeSeen(each.node_id) for each in hosts.values()})


@pytest.mark.parametrize(
    ("versions", "asked", "found"),
    [
        ([("B", "A"), ("B", "A")], "", "A"),
        ([("B", "A"), ("A", "O")], "", "A"),  # an upgrade was cut off
        ([("B", "A"), ("A", "")], "", "A"),
        ([("A", "B"), ("B", "A")], "A", "A"),  # a way back was
    ],
)
def test_the_version_before(versions: list[tuple[str, str]], asked: str, found: str) -> None:
    world = seen(*versions)
    assert before(world, list(world.hosts), asked) == found


@pytest.mark.parametrize(
    ("versions", "asked", "why"),
    [
        ([("A", "B"), ("B", "A")], "", "not clear which"),
        ([("A", ""), ("A", "")], "", "no version that all nodes"),
        ([("B", "A"), ("C", "A2")], "", "no version that all nodes"),
        ([("B", "A"), ("B", "A")], "O", "no version O that all"),
    ],
)
def test_no_version_before(versions: list[tuple[str, str]], asked: str, why: str) -> None:
    world = seen(*versions)
    with pytest.raises(SwarmError, match=why):
        before(world, list(world.hosts), asked)


def test_a_version_that_is_neither_carried_nor_there() -> None:
    hosts = {name: HostWanted(name, Target(name)) for name in ("h0", "h1", "h2")}
    world = seen(("2", "1"), ("1", ""), ("3", "2"))
    assert list(not_to_be_had(SwarmWanted("s", hosts, version="2"), world, "4")) == ["h1"]
    assert list(not_to_be_had(SwarmWanted("s", hosts, version="4"), world, "4")) == []
    assert list(not_to_be_had(SwarmWanted("s", hosts), world, "4")) == []
