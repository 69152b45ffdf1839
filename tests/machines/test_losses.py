"""A swarm on real hosts in bad hours: runs that are stopped, hosts behind others, machines that are
worked on by themselves, managers that die.

The scenarios go on from one another, in this order, for the hosts take minutes to be made.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine_cluster import (
    APPLY,
    Operator,
    another_wheel,
    listing,
    nodes,
    started,
)
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab
from tests.support.ran import Ran
from tests.support.until import until_true

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
NAMES = ("h1", "h2", "h3", "w4")
CLOSED = """
table inet test {
    chain input { type filter hook input priority 0; ip saddr OPERATOR tcp dport 22 drop; }
}
"""
THEIRS = ("/etc/swarm/api", "/etc/swarm/swarmd.toml", "/etc/hostname", "/etc/hosts")
_DOWN = 90.0


class Swarm:
    """Hosts, each of which may end by itself, their operator, and what he wants of them."""

    def __init__(self, lab: MachineLab, folder: Path) -> None:
        self.lab = lab
        self.operator = Operator(lab, folder)
        self.hosts: dict[str, MachineHost] = {}
        self.file: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, ExitStack] = {}

    def add(self, name: str) -> MachineHost:
        self._ends[name] = ExitStack()
        (host,) = self._ends[name].enter_context(self.lab.hosts(HostForm(name)))
        self.hosts[name] = host
        role = "worker" if name[0] == "w" else "manager"
        self.file[name] = {"address": host.address, "role": role}
        return host

    def lose(self, name: str) -> None:
        """The host is gone for good, with its disk."""
        self._ends.pop(name).close()
        del self.hosts[name]

    def end(self) -> None:
        with ExitStack() as every:
            for each in self._ends.values():
                every.push(each)

    @property
    def first(self) -> MachineHost:
        return self.hosts["h1"]

    def machine(self, verb: str, *words: str) -> Ran:
        """A verb for the whole cluster."""
        self.operator.wants(self.file)
        return self.operator.run(verb, "-f", str(self.operator.file), *words)

    def apply(self, *words: str) -> Ran:
        self.operator.wants(self.file)
        return self.operator.apply(*words)

    def column(self, name: str) -> dict[str, str]:
        """Of `node ls`, by host."""
        return {host: row[name] for host, row in nodes(self.first).items()}

    def until_down(self, *names: str) -> None:
        def are_down() -> bool:
            found = self.column("Status")
            return all(found[name] == "Down" for name in names)

        until_true(are_down, f"{names} are down", _DOWN)

    def until_ready(self, *names: str) -> None:
        """A new leader has not heard of all nodes at once."""
        ready = dict.fromkeys(names, "Ready")
        until_true(lambda: self.column("Status") == ready, f"{names} are ready", _DOWN)


@pytest.fixture(scope="module")
def swarm(
    machine_lab_of_run: MachineLab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Swarm]:
    made = Swarm(machine_lab_of_run, tmp_path_factory.mktemp("operator"))
    try:
        for name in NAMES:
            made.add(name)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of another version."""
    added = {"swarmctl/second.py": b'"""Another version."""\n'}
    return another_wheel(tmp_path_factory.mktemp("wheels"), "second", added)


def test_hosts_behind_others_are_nodes_and_a_run_that_is_stopped_is_gone_on_with(
    swarm: Swarm,
) -> None:
    """One by its line in the file, one by ~/.ssh/config. Runs end by Ctrl-C, twice and once."""
    jump = f"root@{swarm.first.address}"
    for name in ("h2", "w4"):
        rules = CLOSED.replace("OPERATOR", swarm.lab.operator)
        swarm.hosts[name].run(["nft", "-f", "-"], given=rules.encode())
    swarm.file["w4"]["ssh"] = {"jump": [jump], "key": str(swarm.lab.key)}
    config = swarm.operator.folder / ".ssh/config"
    config.parent.mkdir(mode=0o700)
    config.write_text(f"Host {swarm.hosts['h2'].address}\n  ProxyJump {jump}\n")
    checked = swarm.machine("check")
    assert checked.code == 0, checked.text

    cut = _interrupted(swarm, "apt-get install", times=2)
    assert cut.code == 130, cut.text
    assert "Cut off, may be half done: h1: install swarmd" in cut.err
    assert "Traceback" not in cut.err
    records = swarm.operator.run("ls", "-t", "1s", "--format", "{{.Name}} {{.Errors}}")
    assert "cut off at apply" in records.out, records.text

    stopped = _interrupted(swarm, "looking at the host", times=1)
    assert stopped.code == 130, stopped.text
    assert "4 of 8 actions were done." in stopped.err
    events = [json.loads(line) for line in stopped.out.splitlines()]
    ends = {event["host"]: event["stage"] for event in events if event.get("host")}
    assert ends == {"h1": "skipped", "h2": "skipped", "h3": "skipped", "w4": "skipped"}

    made = swarm.apply("--concurrency", "2")
    assert made.code == 0, made.text
    assert swarm.column("Status") == dict.fromkeys(NAMES, "Ready")
    again = swarm.apply("--detailed-exitcode")
    assert (again.code, again.out) == (0, "No changes.\n"), again.text


def _interrupted(swarm: Swarm, at: str, *, times: int) -> Ran:
    """An apply that gets Ctrl-C once an event says `at`, and so often."""
    swarm.operator.wants(swarm.file)
    words = ("apply", "-f", str(swarm.operator.file), "--yes", "--progress", "json")
    command = swarm.operator.command(*words)
    out, err = b"", b""
    with started(command, swarm.lab, swarm.operator.environment()) as going:
        while at.encode() not in out:
            line = going.stdout.readline()
            assert line, going.stderr.read()
            out += line
        going.send_signal(signal.SIGINT)
        while b"again to cut them off" not in err:
            line = going.stderr.readline()
            assert line, err
            err += line
        for _ in range(times - 1):
            going.send_signal(signal.SIGINT)
        rest = going.communicate(timeout=APPLY)
    return Ran(going.returncode, (out + rest[0]).decode(), (err + rest[1]).decode())


def test_managers_that_are_adopted_are_upgraded_one_by_one_with_the_others_there(
    swarm: Swarm, second: Path, tmp_path: Path
) -> None:
    colleague = Operator(swarm.lab, tmp_path)
    before = {name: listing(swarm.hosts[name], THEIRS) for name in ("h1", "h3")}
    for name in ("h1", "h3"):
        way = ("--generic-ip-address", swarm.hosts[name].address, "--generic-ssh-no-agent")
        done = colleague.run("adopt", *way, "--generic-ssh-key", str(swarm.lab.key), name)
        assert done.code == 0, done.text
    rows = colleague.run("ls", "-t", "60s", "--format", "{{.State}} {{.Swarm}} {{.Errors}}")
    assert rows.out.split() == ["Running", "manager"] * 2, rows.text

    words = ("upgrade", "--distribution", str(second), "--progress", "plain")
    lost = swarm.hosts["h2"]
    lost.cut()
    until_true(lambda: swarm.column("ManagerStatus")["h2"] == "Unreachable", "h2 is away", _DOWN)
    refused = colleague.run(*words, "h3")
    assert refused.code == 1, refused.text
    assert "h3 is a manager, and the others cannot do without it now" in refused.err
    assert "h2 not reached" in refused.err
    lost.mend()
    until_true(lambda: swarm.column("ManagerStatus")["h2"] == "Reachable", "h2 is back", _DOWN)

    done = colleague.run(*words, "h1", "h3")
    assert done.code == 0, done.text
    one, other = sorted(_restarted(swarm.hosts[name]) for name in ("h1", "h3"))
    assert one[1] < other[0]
    assert {name: listing(swarm.hosts[name], THEIRS) for name in before} == before


def _restarted(host: MachineHost) -> tuple[int, int]:
    """When its daemon was stopped last, and when it was started. All hosts have one clock."""
    stop, start = "ActiveExitTimestampMonotonic", "InactiveExitTimestampMonotonic"
    found = host.run(["systemctl", "show", "swarmd", "-p", f"{stop},{start}"])
    times = dict(line.split("=") for line in found.split())
    return int(times[stop]), int(times[start])


def test_all_nodes_come_to_a_version_and_go_back(swarm: Swarm, second: Path) -> None:
    former = swarm.column("EngineVersion")["w4"]
    upgraded = swarm.machine("upgrade", "--all", "--yes", "--distribution", str(second))
    assert upgraded.code == 0, upgraded.text
    version = second.name.split("-")[1]
    assert set(swarm.column("EngineVersion").values()) == {version}
    back = swarm.machine("rollback", "--all", "--yes", "--no-drain")
    assert back.code == 0, back.text
    assert set(swarm.column("EngineVersion").values()) == {former}
    swarm.until_ready(*NAMES)


def test_a_dead_manager_is_replaced_by_another_host(swarm: Swarm) -> None:
    swarm.lose("h3")
    swarm.file["h3"]["state"] = "absent"
    swarm.add("h5")
    swarm.until_down("h3")
    drift = swarm.machine("drift")
    assert drift.code == 2, drift.text
    done = swarm.apply()
    assert done.code == 0, done.text
    assert _managers(swarm) == ["h1", "h2", "h5"]
    assert "h3" not in swarm.column("Status")
    assert swarm.machine("drift").code == 0


def test_a_dead_manager_is_installed_anew_and_a_dead_worker_is_left_out(swarm: Swarm) -> None:
    for name in ("h2", "w4"):
        swarm.lose(name)
    swarm.add("h2")
    swarm.until_down("h2", "w4")
    refused = swarm.apply()
    assert refused.code == 1, refused.text
    assert "w4 is not reached" in refused.err
    assert "swarmctl machine trust h2" in refused.err
    trusted = swarm.operator.run("trust", "-y", "h2")
    assert trusted.code == 0, trusted.text
    shown = swarm.apply("--skip-unreachable", "--dry-run")
    assert "node h2 (down, and counts as a manager) is in the swarm" in shown.err, shown.text
    del swarm.file["w4"]
    done = swarm.apply("--prune")
    assert done.code == 0, done.text
    assert swarm.column("Status") == {"h1": "Ready", "h2": "Ready", "h5": "Ready"}
    assert _managers(swarm) == ["h1", "h2", "h5"]
    limited = swarm.apply("--limit", "h1,h5", "--detailed-exitcode")
    assert (limited.code, limited.out) == (0, "No changes.\n"), limited.text


def _managers(swarm: Swarm) -> list[str]:
    found = swarm.column("ManagerStatus")
    return sorted(name for name, status in found.items() if status in ("Leader", "Reachable"))
