"""The Vagrantfile that is shipped, as it is: machines come up, and are a swarm."""

import json
from collections.abc import Iterator

import pytest

from tests.support.vagrant_world.world import World, vagrant_world

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7200)]

_CHOICE = {"SWARM_MANAGERS": "1", "SWARM_WORKERS": "1", "SWARM_MEMORY": "768"}
_LONG = 3600.0  # on an emulated processor


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with vagrant_world() as made:
        yield made


def _said(world: World, *argv: str, timeout: float = 300.0) -> str:
    done = world.run(argv, timeout, _CHOICE)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said
    return said


def test_a_swarm_without_managers_is_refused(world: World) -> None:
    done = world.run(["vagrant", "validate"], 60.0, {"SWARM_MANAGERS": "0"})
    assert done.returncode != 0
    assert b"A swarm needs a manager" in done.stdout


def test_up_makes_a_swarm(world: World) -> None:
    _said(world, "vagrant", "validate")
    _said(world, "vagrant", "up", timeout=_LONG)
    asked = "sudo swarmctl node ls --format json"
    nodes = [json.loads(line) for line in _in_machine(world, "m1", asked)]
    assert {(each["Hostname"], each["Status"]) for each in nodes} == {
        ("m1", "Ready"),
        ("w1", "Ready"),
    }


def test_a_second_up_changes_nothing(world: World) -> None:
    assert "No changes." in _said(world, "vagrant", "up", timeout=_LONG)


def test_destroy_leaves_no_machine(world: World) -> None:
    _said(world, "vagrant", "destroy", "-f")
    assert _said(world, "virsh", "-c", "qemu:///system", "list", "--all", "--name").strip() == ""
    assert _said(world, "swarmctl", "machine", "ls", "-q") == ""


def _in_machine(world: World, name: str, command: str) -> list[str]:
    said = _said(world, "vagrant", "ssh", name, "-c", command)
    return [line for line in said.splitlines() if line.startswith("{")]
