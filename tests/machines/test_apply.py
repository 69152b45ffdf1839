"""Whole clusters over real SSH: bare hosts become a swarm, change, are upgraded, go back, leave.

The scenarios go on from one another, in this order, for the hosts take minutes to be made.
"""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.images import busybox_archive
from tests.support.machine_cluster import (
    PORT,
    Load,
    Operator,
    another_wheel,
    listing,
    nodes,
    swarmctl,
)
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab
from tests.support.until import until_true

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
NAMES = ("h1", "h2", "h3", "w4")
KEPT = ("/etc", "/opt", "/usr", "/var/lib/swarm", "/root")
WEB = "trap 'exit 0' TERM; mkdir -p /www; hostname >/www/index.html; httpd -f -h /www & wait"


class Cluster:
    """The hosts, their operator, and what he wants of them."""

    def __init__(self, lab: MachineLab, folder: Path, hosts: list[MachineHost]) -> None:
        self.lab = lab
        self.hosts = {host.name: host for host in hosts}
        self.operator = Operator(lab, folder)
        self.before = listing(self.hosts["w4"], KEPT)
        self.file = {
            name: {"address": host.address, "role": "worker" if name[0] == "w" else "manager"}
            for name, host in self.hosts.items()
        }
        self.file["w4"]["labels"] = {"zone": "a"}  # type: ignore[assignment]

    @property
    def first(self) -> MachineHost:
        return self.hosts["h1"]

    def wants(self) -> None:
        self.operator.wants(self.file, swarm={"task_history_limit": 3})

    def serve(self, folder: Path) -> None:
        """A web service on every node, at a published port."""
        archive = busybox_archive(folder).read_bytes()
        for host in self.hosts.values():
            host.run(["sh", "-c", "cat >/tmp/image.tar"], given=archive)
            swarmctl(host, "image", "load", "-i", "/tmp/image.tar")
        flags = ("--replicas", "4", "--update-order", "start-first")
        words = ("--name", "web", "-p", f"{PORT}:80", "--no-resolve-image", *flags)
        swarmctl(self.first, "service", "create", "-q", *words, "busybox:1", "sh", "-c", WEB)


@pytest.fixture(scope="module")
def cluster(
    machine_lab_of_run: MachineLab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    forms = [HostForm(name) for name in NAMES]
    with machine_lab_of_run.hosts(*forms) as hosts:
        made = Cluster(machine_lab_of_run, tmp_path_factory.mktemp("operator"), hosts)
        made.wants()
        yield made


def test_bare_hosts_become_a_swarm_and_a_second_apply_changes_nothing(cluster: Cluster) -> None:
    shown = cluster.operator.run(
        "apply", "-f", str(cluster.operator.file), "--dry-run", "--detailed-exitcode"
    )
    assert shown.code == 2, shown.text
    assert "make a new swarm, with this host as its first manager" in shown.out
    made = cluster.operator.apply()
    assert made.code == 0, made.text
    found = nodes(cluster.first)
    assert {name: row["Status"] for name, row in found.items()} == dict.fromkeys(NAMES, "Ready")
    assert [n for n in NAMES if found[n]["ManagerStatus"]] == ["h1", "h2", "h3"]
    assert "zone" in swarmctl(cluster.first, "node", "inspect", "--pretty", "w4")
    limit = ("swarm", "inspect", "-f", "{{.Spec.TaskHistoryLimit}}")
    assert swarmctl(cluster.first, *limit) == "3\n"
    again = cluster.operator.apply("--detailed-exitcode")
    assert (again.code, again.out) == (0, "No changes.\n"), again.text
    assert cluster.operator.run("drift", "-f", str(cluster.operator.file)).code == 0


def test_what_people_change_by_hand_is_seen_and_put_right(cluster: Cluster) -> None:
    words = ("node", "update", "--label-add", "by=hand", "--label-rm", "zone", "w4")
    swarmctl(cluster.first, *words)
    swarmctl(cluster.first, "node", "demote", "h3")
    drift = cluster.operator.run("drift", "-f", str(cluster.operator.file))
    assert drift.code == 2, drift.text
    assert "label zone=a, without by" in drift.out
    assert "promote to a manager" in drift.out
    put_right = cluster.operator.apply()
    assert put_right.code == 0, put_right.text
    assert cluster.operator.run("drift", "-f", str(cluster.operator.file)).code == 0


def test_a_second_operator_is_kept_out_until_the_first_has_gone(cluster: Cluster) -> None:
    script = files("machine.swarm").joinpath("lock.sh").read_bytes()
    taken = ["sh", "-s", "take", "somebody", "60", "bob@desk: apply of test", "/run/swarm-machine"]
    assert cluster.hosts["h2"].run(taken, given=script) == "mine\n"
    refused = cluster.operator.apply()
    assert refused.code == 1, refused.text
    assert "h2 is locked by bob@desk: apply of test" in refused.err
    shown = cluster.operator.run("lock", "-f", str(cluster.operator.file))
    assert "bob@desk" in shown.out, shown.text
    broken = cluster.operator.run("lock", "-f", str(cluster.operator.file), "--break", "--yes")
    assert broken.code == 0, broken.text
    again = cluster.operator.apply()
    assert (again.code, again.out) == (0, "No changes.\n"), again.text


def test_certificates_are_shown_and_exchanged_while_all_goes_on(cluster: Cluster) -> None:
    file = str(cluster.operator.file)
    shown = cluster.operator.run("certs", "-f", file)
    assert shown.code == 0, shown.text
    kinds = [line.split()[1:3] for line in shown.out.splitlines()[1:]]
    assert sum(kind[0] == "node" for kind in kinds) == len(NAMES)
    assert sum(kind == ["host", "API"] for kind in kinds) == len(NAMES)
    started = ["systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "swarmd"]
    before = [host.run(started) for host in cluster.hosts.values()]
    done = cluster.operator.run("certs", "rotate", "--ca", "-f", file, "--yes")
    assert done.code == 0, done.text
    assert [host.run(started) for host in cluster.hosts.values()] == before
    assert cluster.operator.run("certs", "-f", file).out != shown.out
    assert _all_ready(cluster)


def test_an_upgrade_under_load_loses_no_request(cluster: Cluster, tmp_path: Path) -> None:
    cluster.serve(tmp_path)
    other = another_wheel(tmp_path, "second", {"swarmctl/second.py": b'"""Another version."""\n'})
    load = Load(f"http://{cluster.first.address}:{PORT}/")
    with load.running(cluster.lab):
        until_true(lambda: load.answers > 5, "the service answers", 30)
        load.failures.clear()
        done = cluster.operator.apply("--all", "--distribution", str(other), verb="upgrade")
        assert done.code == 0, done.text
    assert load.failures == []
    assert load.answers > 50
    versions = {row["EngineVersion"] for row in nodes(cluster.first).values()}
    assert versions == {other.name.split("-")[1]}
    again = cluster.operator.apply("--all", "--distribution", str(other), verb="upgrade")
    assert (again.code, again.out) == (0, "No changes.\n"), again.text


def test_a_version_that_does_not_come_up_goes_back_and_stops_the_roll(
    cluster: Cluster, tmp_path: Path
) -> None:
    before = {name: row["EngineVersion"] for name, row in nodes(cluster.first).items()}
    broken = another_wheel(tmp_path, "third", {"swarmctl/daemon.py": b"def main(): 1 / 0\n"})
    words = ("--all", "--distribution", str(broken), "--ready-timeout", "20s")
    done = cluster.operator.apply(*words, verb="upgrade")
    assert done.code == 1, done.text
    assert "is back at the version that it ran before" in done.err
    until_true(lambda: _all_ready(cluster), "all nodes are ready", 60)
    assert {name: row["EngineVersion"] for name, row in nodes(cluster.first).items()} == before


def test_a_removed_worker_is_left_as_it_was(cluster: Cluster) -> None:
    cluster.file["w4"]["state"] = "absent"
    cluster.wants()
    done = cluster.operator.apply("--cleanup")
    assert done.code == 0, done.text
    assert "w4" not in nodes(cluster.first)
    assert _lines(listing(cluster.hosts["w4"], KEPT)) == _lines(cluster.before)
    again = cluster.operator.apply("--cleanup")
    assert again.out == "No changes.\n", again.text


def _all_ready(cluster: Cluster) -> bool:
    return {row["Status"] for row in nodes(cluster.first).values()} == {"Ready"}


def _lines(text: str) -> set[str]:
    """Without what apt keeps for itself when packages come and go, and the copies that groupdel
    makes of the files it is about to change.
    """
    passing = (
        *("/var/lib/apt", "/etc/ld.so.cache", "/usr/share/man", "__pycache__"),
        *("/etc/group-", "/etc/gshadow-"),
    )
    return {line for line in text.splitlines() if not any(each in line for each in passing)}
