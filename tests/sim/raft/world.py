"""A Raft group in a world of its own: time, network, disks and people all follow from one seed.

Storms of faults alternate with calms; in each calm the group must come to life again. What must
hold is checked after every event (invariants.py, history.py), and a run ends at the first thing
that does not, by `Violation`.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from api.v1.raft_pb2 import ConfState, RaftMessage
from manager.raft.durable.keyring import FileKeys
from manager.raft.node import duties
from manager.raft.node.core_options import CoreOptions
from tests.sim.raft.calm import Calm
from tests.sim.raft.clients import Clients
from tests.sim.raft.clock import Clock
from tests.sim.raft.faults import Faults
from tests.sim.raft.history import History
from tests.sim.raft.host import Host
from tests.sim.raft.invariants import Invariants
from tests.sim.raft.membership_moves import Mover
from tests.sim.raft.network import Network
from tests.sim.raft.process import Process
from tests.sim.raft.settings import Settings
from tests.sim.raft.transcript import Transcript
from tests.support.sim_disk import FATES, Dice, Fate

KEPT = 12
"""Entries kept below a snapshot; far fewer than in production, so that members do lag too far."""


class World:
    """Make one, then `run` it. Nothing in it refers to anything outside."""

    def __init__(
        self, settings: Settings, transcript: Transcript | None = None, keys: Path | None = None
    ) -> None:
        self.settings = settings
        self.random = Random(settings.seed)
        self.clock = Clock()
        self.transcript = transcript if transcript is not None else Transcript()
        self.invariants = Invariants()
        self.history = History()
        self.network = Network(
            self.clock, self.random, self._deliver, self._unreachable, self._snapshot_sent
        )
        self.hosts: dict[int, Host] = {}
        self.counts: Counter[str] = Counter()
        self._keys = keys
        self._choose_sizes()
        self.clients = Clients(self)
        self.faults = Faults(self)
        self.mover = Mover(self)
        self.calm = Calm(self)

    def _choose_sizes(self) -> None:
        """Small ones, and different in each run, so that every limit is met."""
        choose = self.random.choice
        self.snapshot_interval = choose((15, 40, 150))
        self.older_snapshots = choose((0, 0, 2))
        self.segment_bytes = choose((700, 4_000, 30_000))
        self.slow_disk = 0.0
        self.options = CoreOptions(
            max_size_per_msg=choose((0, 200, 3_000)),
            max_committed_size_per_ready=choose((1, 500, 1 << 20)),
            max_uncommitted_size=choose((600, 1 << 20)),
            max_inflight_msgs=choose((1, 4, 64)),
            max_inflight_bytes=choose((3_000, 1 << 20)),
            lazy_commit=self.settings.lazy,
        )

    def run(self) -> None:
        """The whole run: all storms and calms, and a last calm. Raises Violation."""
        with patch.object(duties, "KEPT_ENTRIES", KEPT):
            self._begin()
            while self.clock.events < self.settings.steps:
                self.clock.next()
            self.calm.begin()
            while self.calm.is_on:
                self.clock.next()
            self.calm.check_end()

    def _begin(self) -> None:
        voters = list(range(1, self.settings.nodes + 1))
        if "members" in self.settings.faults and self.random.randrange(3) == 0:
            voters = [1]
        first = self.new_host()
        if len(voters) == 1 and self.random.randrange(2):
            first.start(bootstrap=True)
        else:
            for host in [first, *(self.new_host() for _ in voters[1:])]:
                host.found(voters)
                host.start()
        self.invariants.begin(ConfState(voters=voters))
        self.clients.begin()
        self.faults.begin()
        self.mover.begin()
        self.calm.schedule()

    def new_host(self) -> Host:
        """A machine with an empty disk, under a raft id that nobody ever had."""
        raft_id = len(self.hosts) + 1
        keys = FileKeys(self._keys / f"{raft_id}.keys") if self._keys is not None else None
        host = self.hosts[raft_id] = Host(self, raft_id, keys)
        return host

    # What there is.

    def processes(self) -> list[Process]:
        """Those that live, paused ones too, by raft id."""
        return [host.process for host in self.hosts.values() if host.process is not None]

    def leader(self) -> Process | None:
        """One that believes that it leads; at random if there are several."""
        leaders = [each for each in self.processes() if each.raw.is_leader and not each.paused]
        return self.random.choice(leaders) if leaders else None

    def describe(self) -> list[str]:
        """All members, for people."""
        lines = []
        for host in self.hosts.values():
            process = host.process
            state = "gone" if host.gone else "down"
            if process is not None:
                state = ("paused\n" if process.paused else "") + process.raw.status().describe()
            lines.append(f"{host.raft_id}: {state}" if process is None else state)
        return lines

    def alive_enough_without(self, voters: list[int], lost: int) -> bool:
        """Whether most of these voters have their disks, if one of them loses it for good."""
        left = [v for v in voters if v != lost and not self.hosts[v].lost]
        return 2 * len(left) > len(voters)

    # What happens in it.

    def note(self, what: str, *args: Any) -> None:
        """For the transcript."""
        self.transcript.note(self.clock.now, what, *args)

    def fate(self) -> Fate:
        """What a power cut leaves."""
        if self.random.randrange(2):
            return Dice(self.random)
        return self.random.choice(FATES)

    def disk_delay(self) -> int:
        """Milliseconds that a sync takes."""
        if self.slow_disk and self.random.random() < self.slow_disk:
            return self.random.randrange(1500)
        return self.random.randrange(1, 4)

    def power_lost(self, process: Process) -> None:
        """The machine is off; what was not durable is up to fate."""
        self.counts["power cuts"] += 1
        host = self._ended(process, "power lost")
        host.drive.lose_power(self.fate())

    def killed(self, process: Process) -> None:
        """The process is gone, the machine goes on."""
        self.counts["kills"] += 1
        self._ended(process, "killed").drive.kill()

    def disk_failed(self, process: Process, error: OSError) -> None:
        """A process that cannot write ends itself."""
        self.counts["failed disks"] += 1
        self._ended(process, f"disk: {error}").drive.kill()

    def _ended(self, process: Process, why: str) -> Host:
        process.end(why)
        host = self.hosts[process.raft_id]
        host.process = None
        if not host.gone:
            self.clock.after(self.random.randrange(20, 3_000), self.restart, host)
        return host

    def restart(self, host: Host) -> None:
        """Starts a process that is down; if that fails, again later."""
        if host.process is None and not host.gone and not host.start() and not host.gone:
            self.clock.after(self.random.randrange(100, 2_000), self.restart, host)

    def read_served(self, process: Process, context: bytes) -> None:
        """A client has its answer."""
        self.counts["reads"] += 1
        self.note("{} serves {}", process.raft_id, context)
        self.calm.read_served(process.raft_id, context)

    # The network's other end.

    def _process(self, raft_id: int) -> Process | None:
        host = self.hosts.get(raft_id)
        return host.process if host is not None else None

    def _deliver(self, message: RaftMessage) -> bool:
        process = self._process(message.to)
        return process is not None and process.receive(message)

    def _unreachable(self, sender: int, receiver: int) -> None:
        process = self._process(sender)
        if process is not None:
            process.do(process.raw.report_unreachable, receiver)

    def _snapshot_sent(self, sender: int, receiver: int, ok: bool) -> None:
        process = self._process(sender)
        if process is not None:
            self.counts["snapshots cut"] += not ok
            self.note("{} reports a snapshot to {}: {}", sender, receiver, ok)
            process.do(process.raw.report_snapshot, receiver, ok)


@contextmanager
def new_world(settings: Settings, transcript: Transcript | None = None) -> Iterator[World]:
    """A world with keys in a folder of its own, if its disks are to be sealed."""
    if not settings.sealed:
        yield World(settings, transcript)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield World(settings, transcript, Path(folder))
