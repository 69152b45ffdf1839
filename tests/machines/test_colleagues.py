"""A machine as two people have it: made, called by its API, shared, revoked, moved, restarted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine_hosts import faults
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab, MakeHosts
from tests.support.until import until_true

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600, func_only=True)]

PASSPHRASE = b"correct horse\n"


class Desk:
    """Somebody's workstation: a home of its own, in the network of the hosts."""

    def __init__(self, lab: MachineLab, home: Path) -> None:
        self._lab = lab
        self.home = home
        self.home.mkdir()

    def shell(self, words: str, given: bytes = b"") -> tuple[int, str, str]:
        """Exit code, output and talk of a line of bash."""
        environment = {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "SHELL": "/bin/bash",
        }
        done = self._lab.command(
            ["bash", "-c", words], given=given, timeout=400.0, environment=environment
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def __call__(self, words: str, given: bytes = b"") -> str:
        """What `swarmctl machine WORDS` prints; it has to succeed."""
        code, out, err = self.shell(f"cd; swarmctl machine {words}", given)
        assert code == 0, f"{words}: {out}{err}"
        return out

    def row(self, name: str, patience: str = "60s") -> dict[str, Any]:
        """A line of `ls`, which a host that is busy has time to answer."""
        rows = map(json.loads, self(f"ls -t {patience} --format json").splitlines())
        return next(row for row in rows if row["Name"] == name)

    def until_running(self, name: str) -> None:
        until_true(lambda: self.row(name)["State"] == "Running", f"{name} runs", 60.0)

    def until_manager(self, name: str) -> None:
        """Its host runs before its daemon does, and that before it is sure that it leads."""
        until_true(lambda: self.row(name)["Swarm"] == "manager", f"{name} manages", 60.0)


@pytest.fixture
def desk_of(lab: MachineLab, tmp_path: Path) -> Callable[[str], Desk]:
    return lambda person: Desk(lab, tmp_path / person)


def test_a_machine_of_two_people(
    lab: MachineLab, machine_hosts: MakeHosts, desk_of: Callable[[str], Desk]
) -> None:
    (host,) = machine_hosts("h1")
    me, alice = desk_of("me"), desk_of("alice")
    me(f"create --generic-ip-address {host.address} --generic-ssh-key {lab.key} h1")
    row = me.row("h1")
    assert (row["State"], row["Swarm"], row["Errors"]) == ("Running", "-", "")
    assert me("url h1") == f"tcp://{host.address}:2376\n"
    _a_shell_is_pointed_at_it(me, host)
    _a_colleague_comes_and_goes(me, alice)
    _certificates_are_renewed_under_a_running_daemon(me, host)
    _files_go_there_and_back(me)
    _another_host_key_is_trusted_by_a_person_alone(me, host)
    me("export -o moved h1", PASSPHRASE)
    home = desk_of("home")
    home(f"import {me.home}/moved", PASSPHRASE)
    assert home.row("h1")["State"] == "Running"
    assert home("ssh h1 hostname") == "h1\n"
    me("restart h1")
    assert host.power.boots == 2
    me.until_manager("h1")
    assert me.row("h1")["State"] == "Running"
    me("stop -y h1")
    until_true(lambda: not host.power.is_on, "it is off", 60.0)
    assert me.row("h1", "5s")["State"] == "Unreachable"


def _a_shell_is_pointed_at_it(me: Desk, host: MachineHost) -> None:
    before = me.shell("swarmctl --timeout 2s node ls")
    assert before[0] != 0
    code, out, err = me.shell(
        "eval $(swarmctl machine env h1) && swarmctl machine active"
        f" && swarmctl swarm init --advertise-addr {host.address} >&2"
        " && swarmctl node ls --format '{{.Hostname}} {{.ManagerStatus}}'"
    )
    assert (code, out) == (0, "h1\nh1 Leader\n"), err


def _a_colleague_comes_and_goes(me: Desk, alice: Desk) -> None:
    me("share --with alice -o for-alice h1", PASSPHRASE)
    alice(f"import {me.home}/for-alice", PASSPHRASE)
    row = alice.row("h1")
    assert (row["State"], row["Swarm"]) == ("Running", "manager")
    assert "colleague's" in alice.shell("swarmctl machine regenerate-certs h1")[2]
    assert alice.shell("swarmctl machine ssh h1 true")[0] != 0, "she has no key there"
    me("share --revoke alice")
    until_true(lambda: "was revoked" in alice.row("h1")["Errors"], "she is out")
    assert me.row("h1")["State"] == "Running"


def _certificates_are_renewed_under_a_running_daemon(me: Desk, host: MachineHost) -> None:
    daemon = host.run(["systemctl", "show", "-P", "MainPID", "swarmd"])
    assert me("regenerate-certs h1").startswith("h1: unchanged, good until")
    assert me("regenerate-certs -f --client-certs h1").startswith("h1: new, good until")
    me.until_running("h1")
    assert host.run(["systemctl", "show", "-P", "MainPID", "swarmd"]) == daemon


def _files_go_there_and_back(me: Desk) -> None:
    (me.home / "note").write_text("kept")
    me("scp -q note h1:/root/note")
    assert me("ssh h1 cat /root/note") == "kept"
    me("scp -q h1:/root/note back")
    assert (me.home / "back").read_text() == "kept"
    assert me.shell("swarmctl machine ssh h1 exit 7")[0] == 7


def _another_host_key_is_trusted_by_a_person_alone(me: Desk, host: MachineHost) -> None:
    faults.replace_host_key(host)
    code, _, err = me.shell("swarmctl machine regenerate-certs h1")
    assert code != 0
    assert "machine trust h1" in err
    assert me.shell("swarmctl machine trust --host-key SHA256:no h1")[0] != 0
    me("trust -y h1")
    assert me("ssh h1 hostname") == "h1\n"
