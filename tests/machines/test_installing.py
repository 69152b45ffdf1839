"""Bare hosts are installed over real SSH, changed, upgraded, taken back and left as they were."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from machine.distribution.own import own
from tests.support.installing import (
    BROKEN,
    Operator,
    another_wheel,
    bundle_for,
    swarmd_started,
    what_is_on,
)
from tests.support.machine_hosts import faults
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab, MakeHosts
from tests.support.until import until_true

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600, func_only=True)]


def test_a_bare_host_becomes_a_node_and_is_left_as_it_was(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts("h1")
    host.run(["tee", "/usr/local/bin/swarmctl"], given=b"#!/bin/sh\n")  # somebody else's
    before = what_is_on(host)
    operator = Operator(lab, tmp_path)

    shown = operator.create(host, "--dry-run")
    assert shown.code == 0, shown.text
    assert "h1: + start swarmd" in shown.out
    assert what_is_on(host) == before

    made = operator.create(host, "--label", "rack=a", "--set-hostname")
    assert made.code == 0, made.text
    assert made.out == "h1\n"
    info = json.loads(host.run(["/usr/local/bin/swarmctl", "system", "info", "--format", "json"]))
    assert info["Version"] == own().version
    assert info["Description"]["Engine"]["Labels"] == {"rack": "a"}
    assert host.run(["systemctl", "is-enabled", "swarmd"]) == "enabled\n"
    listed = operator.machine("ls", "-t", "60s", "--format", "json")
    assert json.loads(listed.out)["State"] == "Running", listed.text

    started = swarmd_started(host)
    again = operator.machine("provision", "h1", "--progress", "plain")
    assert (again.code, again.err) == (0, "h1: looking at the host\nh1: no changes\n"), again.text
    assert swarmd_started(host) == started

    changed = operator.machine("provision", "h1", "--setting", "log_level=debug")
    assert "! restart swarmd" in changed.err, changed.text
    assert swarmd_started(host) != started

    started = swarmd_started(host)
    host.run(["sh", "-c", "echo '# by hand' >>/etc/systemd/system/swarmd.service"])
    mended = operator.machine("provision", "h1", "--progress", "plain")
    assert "! restart swarmd" in mended.err, mended.text
    assert swarmd_started(host) != started
    again = operator.machine("provision", "h1", "--progress", "plain")
    assert "h1: no changes" in again.err, again.text

    removed = operator.machine("rm", "--cleanup", "--yes", "h1")
    assert removed.code == 0, removed.text
    assert sorted(what_is_on(host) ^ before) == []
    assert operator.machine("ls", "-q").out == ""


def test_versions_come_and_go_back_and_a_broken_one_does_not_stay(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts("h1")
    operator = Operator(lab, tmp_path)
    ours = own().version
    second = another_wheel(tmp_path, "0.2.0", {})
    broken = another_wheel(tmp_path, "0.3.0", BROKEN)
    made = operator.create(host, "--distribution", str(second))
    assert made.code == 0, made.text
    assert host.run(["readlink", "/opt/swarm/current"]) == "0.2.0\n"

    failed = operator.machine("upgrade", "--distribution", str(broken), "h1")
    assert failed.code == 1, failed.text
    assert "broken on purpose" in failed.err
    assert "h1 runs 0.2.0 again" in failed.err
    assert operator.machine("version", "h1").out == "0.2.0\n"

    done = operator.machine("upgrade", "h1")
    assert done.code == 0, done.text
    assert operator.machine("version", "h1").out == f"{ours}\n"
    versions = host.run(["ls", "/opt/swarm"]).split()
    assert versions == sorted(["0.2.0", ours, "current"])  # the broken one has gone
    back = operator.machine("rollback", "h1")
    assert back.code == 0, back.text
    assert operator.machine("version", "h1").out == "0.2.0\n"


def test_a_user_with_sudo_installs_from_a_bundle_beside_other_package_managers(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts("h1")
    operator = Operator(lab, tmp_path)
    bundle = bundle_for(lab, tmp_path)
    lab.packages.closed.add("/simple/")
    faults.half_installation(host)

    refused = operator.create(host, user="deploy")
    assert refused.code == 1, refused.text
    assert "PyPI is not reached" in refused.err
    assert "--bundle FILE" in refused.err

    with faults.apt_lock_held(host):
        warned = operator.machine("check", "--bundle", str(bundle), "h1")
    assert "the package manager is used by process" in warned.err, warned.text
    words = ("provision", "--bundle", str(bundle), "--progress", "plain", "h1")
    with ThreadPoolExecutor(1) as pool, faults.apt_lock_held(host):
        going_on = pool.submit(operator.machine, *words)
        until_true(lambda: _installs(host), "apt waits for the lock", 60.0)
    done = going_on.result()
    assert done.code == 0, done.text
    assert "putting aside /etc/swarm/machine.json" in done.err
    assert operator.machine("version", "h1").out == f"{own().version}\n"

    there = ["/usr/local/bin/swarmctl", "system", "install"]
    shown = host.run([*there, "--dry-run"])  # the host packs the version that it was given
    assert shown == "h1: no changes\n"
    _what_the_host_installed_itself_is_adopted_as_it_is(lab, host, tmp_path / "colleague")
    host.run([*there, "--uninstall", "--yes"], timeout=120)
    assert host.run(["systemctl", "is-active", "swarmd"], check=False) != "active\n"
    assert host.run(["ls", "/opt/swarm"]).split() == ["0.0.1", "current"]  # as it was found
    assert host.run(["readlink", "/opt/swarm/current"]) == "0.0.1\n"


def _what_the_host_installed_itself_is_adopted_as_it_is(
    lab: MachineLab, host: MachineHost, home: Path
) -> None:
    home.mkdir()
    host.run(
        ["/usr/local/bin/swarmctl", "system", "install", "--setting", "log_level=debug"],
        timeout=120,
    )
    before, started = what_is_on(host), swarmd_started(host)
    colleague = Operator(lab, home)
    words = ("--generic-ip-address", host.address, "--generic-ssh-no-agent")
    adopted = colleague.machine("adopt", *words, "--generic-ssh-key", str(lab.key), "h1")
    assert adopted.code == 0, adopted.text
    assert colleague.machine("version", "h1").out == f"{own().version}\n"
    upgraded = colleague.machine("upgrade", "--progress", "plain", "h1")
    assert "h1: no changes" in upgraded.err, upgraded.text
    assert sorted(what_is_on(host) ^ before) == []
    assert swarmd_started(host) == started


def _installs(host: MachineHost) -> bool:
    """Whether apt has begun to install, and not only to look what it would."""
    running = host.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], check=False)
    return "--no-remove install conmon" in running


def test_a_full_disk_is_told_before_anything_is_changed(
    lab: MachineLab, machine_hosts: MakeHosts, tmp_path: Path
) -> None:
    (host,) = machine_hosts(HostForm("h1", disk=1000))
    operator = Operator(lab, tmp_path)
    with faults.disk_full(host, free=50):
        refused = operator.create(host)
    assert refused.code == 1, refused.text
    assert "MiB are free on /" in refused.err
    assert host.run(["ls", "/opt"]) == ""
    assert operator.machine("rm", "-y", "h1").code == 0
