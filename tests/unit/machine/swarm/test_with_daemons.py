"""The same as test_hands.py with real daemons at the other end, and their real command line."""

import asyncio
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import ne
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.v1 import host_pb2, host_pb2_grpc
from hostkit.clock import monotonic
from hostkit.process import Completed
from machine.layout import COMMAND
from machine.local import LocalRemote
from machine.provisioning import Change, Kind, Problem, Tell, Wanted
from machine.remote import Remote
from machine.swarm.actions import Plan
from machine.swarm.choices import Choices
from machine.swarm.events import Event, Stage
from machine.swarm.execute import Executor
from machine.swarm.hands import RemoteHands
from machine.swarm.look import Look
from machine.swarm.outcome import Outcome
from machine.swarm.plan import plan
from machine.swarm.seen import NodeSeen, Seen
from machine.swarm.waits import Patience
from machine.swarm.wanted import Availability, HostWanted, Role, SwarmWanted
from machine.target import Target
from tests.support.daemon_process import Daemon
from tests.support.unguarded import unguarded
from tests.support.until import until_true

pytestmark = [pytest.mark.root, pytest.mark.managers, pytest.mark.timeout(600)]
_LIMIT = 120.0
LONG = Patience(ready=_LIMIT, drain=_LIMIT, quorum=_LIMIT, look=0.2)
NAMES = ("m1", "m2", "m3")


class Host(LocalRemote):
    """A daemon's host: this one, with a command line of its own."""

    async def run(self, argv: Sequence[str], **named: Any) -> Completed:
        words = list(argv)
        if words[0] == COMMAND:
            words[:1] = [sys.executable, "-m", "swarmctl"]
        return await super().run(words, **named)


def end(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.terminate()
    try:
        daemon.process.wait(_LIMIT)
    except subprocess.TimeoutExpired:
        daemon.process.kill()
        daemon.process.wait()
        raise


def answers(daemon: Daemon) -> Callable[[], bool]:
    """Whether the daemon answers its operator."""

    def ask() -> bool:
        with daemon.channel() as channel:
            try:
                host_pb2_grpc.HostStub(channel).Info(host_pb2.InfoRequest(), timeout=5.0)
            except grpc.RpcError:
                return False
        return True

    return ask


class Starter:
    """Installs by starting daemons; a host with other settings than it has is restarted."""

    def __init__(self, daemons: Mapping[str, Daemon]) -> None:
        self._daemons = daemons
        self._one = asyncio.Semaphore(1)
        self.settings: dict[str, object] = {}
        self.restarted: list[str] = []

    async def problems(self, remote: Remote, wanted: Wanted) -> Sequence[Problem]:
        return ()

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        if remote.name not in self.settings:
            return (Change(Kind.ADD, "service", "start swarmd"),)
        if self.settings[remote.name] != wanted.settings["log_level"]:
            return (Change(Kind.RESTART, "service", "restart swarmd", "other settings"),)
        return ()

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        changes = await self.changes(remote, wanted)
        daemon = self._daemons[remote.name]
        async with self._one:  # the machine may be busy, and starts cost it most
            if remote.name in self.settings:
                self.restarted.append(remote.name)
                await asyncio.to_thread(end, daemon)
            daemon.start()
            await asyncio.to_thread(until_true, answers(daemon), f"{remote.name} answers", _LIMIT)
        self.settings[remote.name] = wanted.settings["log_level"]
        return changes

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        raise AssertionError("there is one version only")

    async def roll_back(self, remote: Remote, tell: Tell) -> str:
        raise AssertionError("there is one version only")

    async def remove(self, remote: Remote, tell: Tell, *, force: bool = False) -> None:
        raise AssertionError("nothing was installed")


class Hands(RemoteHands):
    """Remembers who led each time that it was asked; "" if nobody was known to."""

    led: list[str]

    async def leader(self) -> str:
        self.led.append("")
        self.led[-1] = await super().leader()
        return self.led[-1]


class Cluster:
    """The daemons, and what is wanted of them."""

    def __init__(self, folder: Path) -> None:
        self.daemons = {name: Daemon(folder / name) for name in NAMES}
        self.starter = Starter(self.daemons)
        self.wanted = SwarmWanted("s", {name: self._host(name) for name in NAMES})
        self.events: list[Event] = []
        self.led: list[str] = []

    def _host(self, name: str) -> HostWanted:
        daemon = self.daemons[name]
        daemon.run.parent.mkdir()
        return HostWanted(
            name,
            Target(name),
            role=Role.MANAGER,
            advertise=daemon.address,
            listen=daemon.address,
            swarmd={"run_dir": str(daemon.run), "state_dir": str(daemon.state)},
        )

    def change(self, name: str, **changed: Any) -> None:
        host = dataclasses.replace(self.wanted.hosts[name], **changed)
        self.wanted = dataclasses.replace(self.wanted, hosts={**self.wanted.hosts, name: host})

    def install(self, level: str) -> Callable[[HostWanted, str], Wanted]:
        return lambda host, version: Wanted(version, {"log_level": level})

    async def look(self, level: str = "info") -> Seen:
        remotes = {name: Host(name) for name in NAMES}
        look = Look(self.wanted, remotes, self.starter, self.install(level), together=4)
        return await look.take()

    async def _apply(self, level: str, choices: Choices) -> tuple[Plan, Outcome]:
        seen = await self.look(level)
        made = plan(self.wanted, seen, choices)
        hands = Hands(
            self.wanted,
            seen,
            {name: Host(name) for name in NAMES},
            self.starter,
            self.install(level),
            patience=LONG,
            clock=monotonic,
        )
        hands.led = self.led
        executor = Executor(hands, self.events.append, together=4, guard=unguarded)
        return made, await executor.run(made)

    def applied(self, level: str = "info", choices: Choices | None = None) -> None:
        """Once, and then there is nothing left to do."""
        chosen = choices or Choices()
        made, outcome = asyncio.run(self._apply(level, chosen))
        assert not made.refusals, made.refusals
        assert outcome.failures == {}
        again = plan(self.wanted, asyncio.run(self.look(level)), chosen)
        assert not again.refusals, again.refusals
        assert again.is_empty, list(again.actions())

    def nodes(self) -> dict[str, NodeSeen]:
        seen = asyncio.run(self.look())
        by_host = {host.node_id: name for name, host in seen.hosts.items()}
        return {by_host[key]: node for key, node in seen.nodes.items()}

    def end(self) -> None:
        for daemon in self.daemons.values():
            if daemon.process is not None and daemon.process.poll() is None:
                end(daemon)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="d") as path:  # short, for the sockets' sake
        made = Cluster(Path(path))
        try:
            yield made
        finally:
            made.end()


def test_the_life_of_a_swarm(cluster: Cluster) -> None:
    cluster.wanted = dataclasses.replace(cluster.wanted, options={"task_history_limit": 3})
    cluster.change("m3", labels={"zone": "a"}, availability=Availability.DRAIN)
    cluster.applied()
    found = cluster.nodes()
    assert all(node.is_seated for node in found.values())
    assert (found["m3"].labels, found["m3"].availability) == ({"zone": "a"}, Availability.DRAIN)

    # Other settings restart every daemon; whoever leads comes last, also if that changes meanwhile.
    cluster.led.clear()
    cluster.applied("debug")
    assert sorted(cluster.starter.restarted) == sorted(NAMES)
    assert len(cluster.led) == len(NAMES) - 1
    assert cluster.led[0]
    assert all(map(ne, cluster.starter.restarted, cluster.led))

    # A manager becomes a worker, then it goes.
    cluster.change("m3", role=Role.WORKER, labels={}, availability=Availability.ACTIVE)
    cluster.wanted = dataclasses.replace(cluster.wanted, options={"task_history_limit": 4})
    cluster.applied("debug")
    found = cluster.nodes()
    assert [name for name in NAMES if found[name].is_seated] == ["m1", "m2"]
    cluster.change("m3", is_absent=True)
    cluster.applied("debug")
    assert sorted(cluster.nodes()) == ["m1", "m2"]
    failed = [event for event in cluster.events if event.stage is Stage.FAILED]
    assert failed == []
