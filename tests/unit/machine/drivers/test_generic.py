"""The generic driver: hosts that are there already."""

import asyncio
import socket
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.driver import State
from machine.drivers.generic.driver import GENERIC
from machine.target import Target


def test_its_options_become_the_target(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("private")
    options = {
        "ip-address": "10.0.0.1",
        "ssh-user": "admin",
        "ssh-port": 2222,
        "ssh-key": "id",
        "ssh-jump": ["bastion"],
        "ssh-no-agent": True,
        "ssh-host-key": "SHA256:x",
    }
    host = asyncio.run(GENERIC.driver(options, tmp_path).create("h1"))
    key = str(tmp_path / "id")
    wanted = Target("10.0.0.1", "admin", 2222, key, ("bastion",), False, "SHA256:x")
    assert asyncio.run(host.target()) == wanted
    assert (host.name, host.address) == ("h1", "10.0.0.1")


def test_a_key_that_is_not_there_is_found_before_anything_else(tmp_path: Path) -> None:
    driver = GENERIC.driver({"ip-address": "10.0.0.1", "ssh-key": "id"}, tmp_path)
    with pytest.raises(SwarmError, match="cannot read the private key"):
        asyncio.run(driver.create("h1"))


@pytest.mark.parametrize("address", ["", "a b", "a@b", "x:y:z"])
def test_no_addresses(address: str, tmp_path: Path) -> None:
    with pytest.raises(SwarmError) as caught:
        GENERIC.driver({"ip-address": address}, tmp_path)
    assert caught.value.field == "generic-ip-address"


def test_whether_it_runs_its_ssh_port_tells(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = {"ip-address": "127.0.0.1", "ssh-port": port}
        host = GENERIC.driver(options, tmp_path).host("h1")
        assert asyncio.run(host.state()) is State.RUNNING
    with pytest.raises(SwarmError, match="does not answer") as caught:
        asyncio.run(host.state())
    assert caught.value.code is Code.UNAVAILABLE
    behind = GENERIC.driver(options | {"ssh-jump": ["b"]}, tmp_path).host("h1")
    with pytest.raises(SwarmError, match="over other hosts"):
        asyncio.run(behind.state())


@pytest.mark.parametrize("verb", ["start", "stop", "kill"])
def test_its_power_switch_is_out_of_reach(verb: str, tmp_path: Path) -> None:
    host = GENERIC.driver({"ip-address": "10.0.0.1"}, tmp_path).host("h1")
    with pytest.raises(SwarmError, match="no power switch") as caught:
        asyncio.run(getattr(host, verb)())
    assert caught.value.code is Code.UNSUPPORTED
