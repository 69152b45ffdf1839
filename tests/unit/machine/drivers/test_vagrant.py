"""Machines of a Vagrantfile, with a program in Vagrant's place that keeps states in a file.

What it prints is what Vagrant 2.3.4 prints.
"""

import asyncio
import os
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.driver import State
from machine.drivers.vagrant.driver import VAGRANT
from machine.drivers.vagrant.said import address_in, state_in, target_in
from machine.target import Target

STATUS = """\
1764500000,node1,metadata,provider,libvirt
1764500000,node1,provider-name,libvirt
1764500000,node1,state,{state}
1764500000,node1,state-human-short,running
1764500000,,ui,info,Current machine states:
"""
SSH_CONFIG = """\
Host node1
  HostName 192.168.121.5
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/home/u/my machines/private_key"
  IdentitiesOnly yes
  LogLevel FATAL

"""
PROGRAM = f"""#!/bin/sh
echo "$*" >> calls
[ "$SWARM_APPLY" = no ] || exit 9
case "$1" in
up) echo running > state;;
halt) echo poweroff > state;;
destroy) echo not_created > state;;
status) state=$(cat state 2>/dev/null || echo not_created)
cat <<END
{STATUS.format(state="$state")}END
;;
ssh) cat networks;;
ssh-config) grep -q running state || {{ echo "not ready" >&2; exit 1; }}
cat <<END
{SSH_CONFIG}END
;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "vagrant").write_text(PROGRAM)
    (programs / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (tmp_path / "Vagrantfile").write_text("")
    return tmp_path


def test_a_machine_from_its_making_to_its_end(folder: Path) -> None:
    options = {"folder": str(folder), "machine": "node1", "provider": "libvirt", "address": ""}
    driver = VAGRANT.driver(options, folder)

    async def life() -> None:
        host = driver.host("h1")
        assert await host.state() is State.STOPPED
        host = await driver.create("h1")
        assert await host.state() is State.RUNNING
        assert await host.target() == Target(
            "192.168.121.5", "vagrant", 2222, "/home/u/my machines/private_key", agent=False
        )
        assert host.address == "192.168.121.5"
        await host.stop()
        assert await host.state() is State.STOPPED
        with pytest.raises(SwarmError, match="does not run"):
            await host.target()
        await host.start()
        await host.kill()
        await driver.remove("h1")
        await driver.remove("h1")

    asyncio.run(life())
    calls = (folder / "calls").read_text().splitlines()
    assert "up --provider=libvirt node1" in calls
    assert "halt --force node1" in calls
    assert calls.count("destroy -f node1") == 1


NETWORKS = """\
default via 10.0.2.2 dev eth0 proto dhcp src 10.0.2.15 metric 100
2: eth0    inet 10.0.2.15/24 metric 100 brd 10.0.2.255 scope global dynamic eth0
3: eth1    inet 192.168.56.11/24 brd 192.168.56.255 scope global eth1
"""


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        (NETWORKS, "192.168.56.11"),
        (NETWORKS.replace("\n", "\r\n"), "192.168.56.11"),
        ("\n".join(NETWORKS.splitlines()[:2]), ""),
        ("", ""),
        ("default dev\n2: eth0 inet\n", ""),
    ],
)
def test_an_address_that_others_reach(networks: str, address: str) -> None:
    assert address_in(networks) == address


def test_a_machine_whose_ssh_is_a_port_of_this_one(folder: Path) -> None:
    """As with VirtualBox: its API is not at that address."""
    program = folder / "bin" / "vagrant"
    program.write_text(PROGRAM.replace("192.168.121.5", "127.0.0.1"))
    (folder / "networks").write_text(NETWORKS)
    driver = VAGRANT.driver({"folder": str(folder), "machine": "node1"}, folder)
    host = asyncio.run(driver.create("h1"))
    assert host.address == "192.168.56.11"
    assert asyncio.run(host.target()).host == "127.0.0.1"
    (folder / "networks").write_text("")
    with pytest.raises(SwarmError, match="--vagrant-address"):
        asyncio.run(driver.create("h1"))


def test_one_in_a_state_that_nobody_knows_is_removed_all_the_same(folder: Path) -> None:
    (folder / "state").write_text("gurumeditation")
    driver = VAGRANT.driver({"folder": str(folder), "machine": "node1"}, folder)
    asyncio.run(driver.remove("h1"))
    assert "destroy -f node1" in (folder / "calls").read_text()


def test_a_folder_without_a_vagrantfile(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="no Vagrantfile"):
        VAGRANT.driver({"folder": str(tmp_path)}, tmp_path)


def test_a_host_without_vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Vagrantfile").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SwarmError, match="apt-get install vagrant") as caught:
        asyncio.run(VAGRANT.driver({"folder": str(tmp_path)}, tmp_path).create("h1"))
    assert caught.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("running", State.RUNNING),
        ("paused", State.PAUSED),
        ("saved", State.STOPPED),
        ("shutoff", State.STOPPED),
        ("suspended", State.PAUSED),
        ("off", State.STOPPED),
        ("not_created", None),
    ],
)
def test_words_for_states(word: str, state: State | None) -> None:
    assert state_in(STATUS.format(state=word), "node1") is state


def test_words_that_nobody_knows() -> None:
    with pytest.raises(SwarmError, match="'inaccessible'"):
        state_in(STATUS.format(state="inaccessible"), "node1")
    with pytest.raises(SwarmError, match="no state of node2"):
        state_in(STATUS.format(state="running"), "node2")
    with pytest.raises(SwarmError, match="how node1 is reached"):
        target_in("", "node1")


def test_machines_of_one_file_come_up_one_after_another(folder: Path) -> None:
    program = folder / "bin" / "vagrant"
    slow = "up) [ ! -e up ] || exit 8; touch up; sleep 0.05; rm up; echo running > state;;"
    program.write_text(PROGRAM.replace("up) echo running > state;;", slow))
    driver = VAGRANT.driver({"folder": str(folder), "machine": "node1"}, folder)

    async def whole() -> None:
        await asyncio.gather(*(driver.host(name).start() for name in ("h1", "h2", "h3")))

    asyncio.run(whole())
    assert (folder / "calls").read_text().count("up node1") == 3
