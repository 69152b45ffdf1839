"""Networks as the managers keep them: over restarts, with a place for every node."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import Swarm, a_swarm

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        yield made


def _inspect(swarm: Swarm, name: str, *flags: str) -> Any:
    (found,) = json.loads(swarm.ctl("network", "inspect", *flags, name).out)
    return found


def _places(swarm: Swarm) -> dict[str, list[str]]:
    """The addresses of nodes in the ingress network."""
    use = _inspect(swarm, "ingress", "-v")["Use"]
    return {node["Name"]: node["Addresses"] for node in use.get("Nodes", [])}


def test_a_new_swarm_has_an_ingress_network_in_which_every_node_has_a_place(swarm: Swarm) -> None:
    names = swarm.ctl("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").lines
    assert names == [
        "bridge bridge local",
        "host host local",
        "ingress overlay swarm",
        "none null local",
    ]
    swarm.until(lambda: len(_places(swarm)) == 2, "every node has an address")
    found = [text for texts in _places(swarm).values() for text in texts]
    assert len(set(found)) == 2
    assert all(text.startswith("10.255.") and text.endswith("/16") for text in found)


def test_a_network_is_as_it_was_after_its_manager_was_killed(swarm: Swarm) -> None:
    swarm.ctl("network", "create", "--label", "a=b", "--opt", "mtu=1400", "front")
    swarm.ctl("network", "create", "--subnet", "10.77.0.0/24", "--ipv6", "back")
    swarm.until(lambda: _inspect(swarm, "back").get("VNI"), "it is settled")
    swarm.ctl("network", "update", "--add-subnet", "10.78.0.0/24", "back")
    swarm.until(lambda: len(_inspect(swarm, "back")["Pools"]) == 3, "it has grown")
    before, places = [_inspect(swarm, name) for name in ("front", "back")], _places(swarm)
    swarm.kill_daemon("m1")
    swarm.start_daemon("m1")
    swarm.until(lambda: swarm.ctl("network", "ls", code=None).code == 0, "it answers again")
    assert [_inspect(swarm, name) for name in ("front", "back")] == before
    assert _places(swarm) == places
    refused = swarm.ctl("network", "create", "--subnet", "10.77.0.0/16", "third", code=None)
    assert refused.code == 1
    assert "network back has it" in refused.err
    assert swarm.ctl("network", "prune", "--force").lines == ["Deleted Networks:", "front", "back"]
