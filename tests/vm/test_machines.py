"""The virtual machines themselves: that they are what a host made of namespaces is not."""

import time

import pytest

from tests.support.machine_hosts.lab import MachineLab
from tests.support.machine_vms.vm import VirtualMachine

pytestmark = pytest.mark.vm

_CONTROLLERS = {"cpu", "cpuset", "io", "memory", "pids"}
_MODULES = ("wireguard", "vxlan", "overlay", "br_netfilter", "nf_tables", "ip_vs")


def test_they_answer_over_ssh_and_are_three(
    vm_lab: MachineLab, three_vms: list[VirtualMachine]
) -> None:
    for machine in three_vms:
        known = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        options = [word for option in known for word in ("-o", option)]
        target = ["-i", str(vm_lab.key), f"root@{machine.address}", "hostname"]
        assert vm_lab.command(["ssh", *options, *target]).stdout.decode().strip() == machine.name
    assert len({each.host_key() for each in three_vms}) == 3
    assert len({each.run(["cat", "/etc/machine-id"]) for each in three_vms}) == 3
    first, second, _ = three_vms
    first.run(["ping", "-c1", "-W20", second.address])


def test_they_have_a_kernel_of_their_own(three_vms: list[VirtualMachine]) -> None:
    machine = three_vms[0]
    assert set(machine.run(["cat", "/sys/fs/cgroup/cgroup.controllers"]).split()) >= _CONTROLLERS
    for module in _MODULES:
        machine.run(["modprobe", module])
    machine.run(["ip", "link", "add", "wg-try", "type", "wireguard"])
    machine.run(["ip", "link", "del", "wg-try"])
    settled = machine.run(["systemctl", "is-system-running", "--wait"], check=False)
    assert settled == "running\n", machine.run(["systemctl", "--failed"], check=False)


def test_limits_of_memory_bite(three_vms: list[VirtualMachine]) -> None:
    limited = ["systemd-run", "--wait", "--quiet", "--property=MemoryMax=32M"]
    hungry = [*limited, "--unit=hungry", "python3", "-c", "bytearray(200 << 20)"]
    machine = three_vms[1]
    machine.run(hungry, check=False)
    assert "oom-kill" in machine.run(["systemctl", "show", "-P", "Result", "hungry"])
    machine.run(["systemctl", "reset-failed", "hungry"])


def test_the_clock_is_right_and_can_be_wrong(three_vms: list[VirtualMachine]) -> None:
    machine = three_vms[2]
    assert abs(float(machine.run(["date", "+%s.%N"])) - time.time()) < 30
    machine.set_clock(time.time() + 3600)
    assert float(machine.run(["date", "+%s.%N"])) - time.time() > 3500
    machine.set_clock(time.time())
