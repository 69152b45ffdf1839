"""The bare hosts themselves: what the other scenarios here may rely on."""

import asyncio
import subprocess

import pytest

from tests.support.machine_hosts import faults
from tests.support.machine_hosts.base_tree import OPS_PASSWORD
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab, MakeHosts

pytestmark = pytest.mark.machines


def _ssh(
    lab: MachineLab,
    host: MachineHost,
    command: str,
    user: str = "root",
    given: bytes = b"",
    patience: int = 30,
) -> "subprocess.CompletedProcess[bytes]":
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    said = [word for option in (*options, f"ConnectTimeout={patience}") for word in ("-o", option)]
    target = [f"{user}@{host.address}", command]
    return lab.command(["ssh", *said, "-i", str(lab.key), *target], given=given)


def test_hosts_are_bare_debian_with_systemd_and_differ(
    lab: MachineLab, machine_hosts: MakeHosts
) -> None:
    first, second = machine_hosts("h1", "h2")
    for host in (first, second):
        assert _ssh(lab, host, "hostname").stdout.decode().strip() == host.name
        assert host.run(["systemctl", "is-system-running", "--wait"], check=False) == "running\n"
        assert host.run(["cat", "/proc/1/comm"]) == "systemd\n"
    assert first.host_key() != second.host_key()
    assert first.run(["cat", "/etc/machine-id"]) != second.run(["cat", "/etc/machine-id"])
    first.run(["ping", "-c1", "-W3", second.address])


def test_packages_come_from_debian_and_from_the_index_and_nothing_else_is_reached(
    lab: MachineLab, machine_hosts: MakeHosts
) -> None:
    (host,) = machine_hosts("h1")
    install = (
        "apt-get -q update && apt-get -qy install --no-install-recommends python3-venv"
        " && python3 -m venv /opt/try && /opt/try/bin/pip install -q click"
        " && /opt/try/bin/python -c 'import click'"
    )
    done = _ssh(lab, host, install)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert host.run(["ip", "route", "get", "1.1.1.1"], check=False) == ""
    lab.packages.closed.add("/simple/")
    assert _ssh(lab, host, "/opt/try/bin/pip install -q --retries 0 idna").returncode != 0


def test_a_host_reboots_stops_and_loses_its_power(
    lab: MachineLab, machine_hosts: MakeHosts
) -> None:
    (host,) = machine_hosts("h1")
    host.run(["touch", "/root/kept", "/var/lib/kept", "/tmp/lost"])
    _ssh(lab, host, "systemctl reboot")
    host.wait(boots=2)
    host.stop()
    assert not host.power.is_on
    host.start()
    host.wait(boots=3)
    host.kill()
    assert _ssh(lab, host, "true", patience=3).returncode != 0
    host.start()
    host.wait(boots=4)
    assert host.run(["ls", "/root/kept", "/var/lib/kept", "/tmp"]).count("kept") == 2
    assert "lost" not in host.run(["ls", "/tmp"])


def test_users_differ_in_what_sudo_lets_them(lab: MachineLab, machine_hosts: MakeHosts) -> None:
    (host,) = machine_hosts("h1")
    password = f"{OPS_PASSWORD}\n".encode()
    assert _ssh(lab, host, "sudo -n id -u", "deploy").stdout == b"0\n"
    assert _ssh(lab, host, "sudo -n id -u", "ops").returncode != 0
    assert _ssh(lab, host, "sudo -S -p '' id -u", "ops", password).stdout == b"0\n"
    assert _ssh(lab, host, "sudo -S -p '' id -u", "guest", password).returncode != 0
    faults.remove_sudo(host)
    assert b"not found" in _ssh(lab, host, "sudo id", "deploy").stderr


def test_faults_are_real(lab: MachineLab, machine_hosts: MakeHosts) -> None:
    (host,) = machine_hosts(HostForm("h1", disk=300))
    with faults.apt_lock_held(host):
        refused = _ssh(lab, host, "apt-get -qy install --reinstall kmod")
        assert b"Could not get lock" in refused.stderr
    with faults.disk_full(host):
        assert b"No space left" in _ssh(lab, host, "cp -r /usr/lib /opt/copy").stderr
    before = host.host_key()
    faults.replace_host_key(host)
    assert host.host_key() != before
    faults.half_installation(host)
    assert host.run(["systemctl", "is-enabled", "swarmd"]) == "enabled\n"
    host.cut()
    assert _ssh(lab, host, "true", patience=3).returncode != 0
    host.mend()
    assert _ssh(lab, host, "true").returncode == 0


def test_the_back_door_and_the_operator_are_in_the_right_network(
    lab: MachineLab, machine_hosts: MakeHosts
) -> None:
    (host,) = machine_hosts("h1")

    async def banner() -> bytes:
        reader, writer = await asyncio.open_connection(host.address, 22)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    assert lab.inside(banner()).startswith(b"SSH-2.0")
    assert host.address in host.run(["ip", "-br", "addr"])
