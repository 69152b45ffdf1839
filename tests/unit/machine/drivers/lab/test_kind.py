"""The lab as a driver of machines: what it refuses before anything is made."""

from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from machine.driver import EnteredHost, MachineHost
from machine.drivers.lab.kind import LAB
from machine.drivers.registry import kind


def test_it_is_one_of_our_drivers() -> None:
    assert kind("lab") is LAB
    assert LAB.has_power


def test_a_host_is_called_as_its_machine_and_is_entered(tmp_path: Path) -> None:
    host: MachineHost = LAB.driver({}, tmp_path / "h1").host("h1")
    assert isinstance(host, EnteredHost)
    assert str(host.socket) == "/var/lib/swarm-lab/machines/h1/run/swarmd.sock"
    other = LAB.driver({"name": "x", "host": "w1"}, tmp_path / "h-1").host("h-1")
    assert isinstance(other, EnteredHost)
    assert str(other.socket) == "/var/lib/swarm-lab/x/w1/run/swarmd.sock"


@pytest.mark.parametrize(
    "options", [{"name": "A"}, {"host": "a-b"}, {"host": "abcdefghijkl"}, {"disk": 3}]
)
def test_bad_options(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SwarmError) as refused:
        LAB.driver(options, tmp_path / "h1")
    assert refused.value.code is Code.INVALID


def test_a_machine_whose_name_no_host_can_have(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="no name for a host"):
        LAB.driver({}, tmp_path / "web-1")
