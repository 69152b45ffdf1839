"""Three machines, as users have them, become a swarm over SSH, and do what only they can.

The scenarios go on from one another, in this order.
"""

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from tests.support.images import busybox_archive
from tests.support.machine_cluster import PORT, Operator, nodes, swarmctl
from tests.support.machine_hosts.lab import MachineLab
from tests.support.machine_vms.vm import VirtualMachine
from tests.support.until import until_true

pytestmark = pytest.mark.vm

_INSTALL = 3000.0  # on an emulated processor
_ANSWER = 600.0
_WEB = "trap 'exit 0' TERM; mkdir -p /www; hostname >/www/index.html; httpd -f -h /www & wait"
_PLENTY = "x=$(dd if=/dev/zero bs=1M count=200 | tr '\\0' x); sleep 1000"


class Cluster:
    """The machines, and their operator."""

    def __init__(self, lab: MachineLab, machines: list[VirtualMachine], folder: Path) -> None:
        self.lab = lab
        self.machines = machines
        self.operator = Operator(lab, folder)
        hosts = {each.name: {"address": each.address, "role": "manager"} for each in machines}
        # A node that is busy for seconds is slow here, not gone.
        self.operator.wants(hosts, swarm={"dispatcher_heartbeat": "30s"})

        slow = ("--ready-timeout", "15m")  # on an emulated processor
        self.flags = ("-f", str(self.operator.file), "--yes", "--progress", "plain", *slow)

    def apply(self) -> str:
        """What `machine apply` says; it has to succeed."""
        done = self.operator.run("apply", *self.flags, timeout=_INSTALL)
        assert done.code == 0, done.text
        return done.out

    def swarmctl(self, *words: str) -> str:
        """On the first manager."""
        return swarmctl(self.machines[0], *words)

    def tasks(self, service: str) -> list[dict[str, str]]:
        """Rows of `service ps`."""
        lines = self.swarmctl("service", "ps", "--no-trunc", "--format", "json", service)
        return [json.loads(line) for line in lines.splitlines()]

    def get(self, address: str) -> str:
        """The page of the published port, as the operator sees it; nothing if none answers."""
        try:
            answer = self.lab.call(lambda: httpx.get(f"http://{address}:{PORT}/", timeout=20))
        except httpx.TransportError:
            return ""
        return answer.text.strip()


@pytest.fixture(scope="module")
def cluster(
    vm_lab: MachineLab,
    three_vms: list[VirtualMachine],
    tmp_path_factory: pytest.TempPathFactory,
) -> Cluster:
    return Cluster(vm_lab, three_vms, tmp_path_factory.mktemp("operator"))


def test_a_clock_that_is_an_hour_off_is_told_before_anything_changes(cluster: Cluster) -> None:
    wrong = cluster.machines[2]
    wrong.set_clock(time.time() + 3600)
    done = cluster.operator.run("apply", *cluster.flags, timeout=_INSTALL)
    wrong.set_clock(time.time())
    assert done.code == 1, done.text
    assert re.search(r"its clock is 3[56]\d\d s", done.text), done.text
    assert "timedatectl set-ntp true" in done.text
    assert cluster.machines[0].run(["ls", "/opt"]) == ""


def test_three_machines_become_a_swarm_and_a_second_apply_changes_nothing(
    cluster: Cluster,
) -> None:
    cluster.apply()
    found = nodes(cluster.machines[0])
    names = [each.name for each in cluster.machines]
    assert {name: row["Status"] for name, row in found.items()} == dict.fromkeys(names, "Ready")
    assert cluster.apply() == "No changes.\n"


def test_a_service_answers_over_an_encrypted_network_and_at_its_port(
    cluster: Cluster, tmp_path: Path
) -> None:
    archive = busybox_archive(tmp_path).read_bytes()
    for machine in cluster.machines:
        machine.run(["sh", "-c", "cat >/tmp/image.tar"], given=archive)
        swarmctl(machine, "image", "load", "-i", "/tmp/image.tar")
    cluster.swarmctl("network", "create", "-d", "overlay", "--opt", "encrypted", "secret")
    flags = ("--name", "web", "--network", "secret", "--mode", "global", "-p", f"{PORT}:80")
    cluster.swarmctl(
        *("service", "create", "-d", "--no-resolve-image", *flags, "busybox:1", "sh", "-c", _WEB)
    )
    pages: dict[str, set[str]] = {each.address: set() for each in cluster.machines}

    def all_reached() -> bool:
        for address, seen in pages.items():
            seen.add(cluster.get(address))
        return all(len(seen - {""}) == len(cluster.machines) for seen in pages.values())

    until_true(all_reached, f"every task answers at every machine: {pages}", _ANSWER)
    for machine in cluster.machines:
        assert "wireguard" in machine.run(["ip", "-d", "link", "show", "type", "wireguard"])
        assert machine.run(["pgrep", "wireguard-go"], check=False) == ""


def test_limits_of_memory_bite(cluster: Cluster) -> None:
    flags = ("--name", "hungry", "--limit-memory", "32M", "--restart-condition", "none")
    words = ("service", "create", "-q", "-d", "--no-resolve-image", *flags, "busybox:1")
    cluster.swarmctl(*words, "sh", "-c", _PLENTY)

    def killed() -> bool:
        return any(row["CurrentState"].startswith("Failed") for row in cluster.tasks("hungry"))

    until_true(killed, "the task is killed", _ANSWER)
    (task,) = cluster.tasks("hungry")
    assert "137" in task["Error"] or "memory" in task["Error"].lower()


def test_the_swarm_outlives_the_power_of_its_leader(cluster: Cluster) -> None:
    roles = {name: row["ManagerStatus"] for name, row in nodes(cluster.machines[0]).items()}
    leader = next(each for each in cluster.machines if roles[each.name] == "Leader")
    others = [each for each in cluster.machines if each is not leader]
    leader.kill()

    def led_by_another() -> bool:
        said = swarmctl(others[0], "node", "ls", "--format", "json", check=False)
        rows = [json.loads(line) for line in said.splitlines()]
        return any(r["ManagerStatus"] == "Leader" and r["Hostname"] != leader.name for r in rows)

    until_true(led_by_another, "another one leads", _ANSWER)
    # Until the lost one is found down, every third request is led to its task.
    until_true(lambda: bool(cluster.get(others[0].address)), "a task that lives answers", _ANSWER)
    leader.start()
    leader.wait()

    def all_ready() -> bool:
        said = swarmctl(others[0], "node", "ls", "--format", "json", check=False)
        rows = [json.loads(line) for line in said.splitlines()]
        return len(rows) == 3 and all(row["Status"] == "Ready" for row in rows)

    until_true(all_ready, "the machine is back in the swarm", 900.0)
