"""What goes wrong: a storm picks among the faults that the settings name. All of it heals."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.sim.raft.process import Process

if TYPE_CHECKING:
    from tests.sim.raft.world import World

FEW = 4


class Faults:
    """Each run has its own pace, and of more than FEW faults only some: so none hides another."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = random = world.random
        enabled = world.settings.faults
        few = len(enabled) <= FEW
        self.chosen = [each for each in sorted(enabled) if few or random.randrange(4)]
        self._pace = random.choice((150, 500, 1_500))
        self._storm = True
        self._cuts = 0
        self._acts: dict[str, Callable[[], None]] = {
            "drop": self._drop,
            "delay": self._delay,
            "duplicate": self._duplicate,
            "partition": self._partition,
            "oneway": self._oneway,
            "kill": self._kill,
            "power": self._power,
            "sync": self._sync,
            "fsync": self._fsync,
            "full": self._full,
            "slow": self._slow,
            "rot": self._rot,
            "pause": self._pause,
            "clocks": self._clocks,
            "transfer": self._transfer,
            "snapshot": self._snapshot,
        }

    def begin(self) -> None:
        """Goes on for ever, except while it is calm."""
        self._world.note("faults: {}", ", ".join(self.chosen) or "none")
        self.resume()
        self._world.clock.after(self._random.randrange(1, 2 * self._pace), self._act)

    def heal(self) -> None:
        """Everything works again; what is down starts."""
        world = self._world
        self._storm = False
        world.network.calm()
        world.slow_disk = 0.0
        for host in list(world.hosts.values()):
            host.full = False
            host.drive.heal()
            if host.process is not None:
                host.process.rate = 1.0
                host.process.go_on()
            else:
                world.restart(host)

    def resume(self) -> None:
        """The calm is over; some of what troubles the network does so for a whole storm."""
        self._storm = True
        network, random = self._world.network, self._random
        lasting = [each for each in self.chosen if random.randrange(3) == 0]
        if "drop" in lasting:
            network.drop = 0.1
        if "duplicate" in lasting:
            network.duplicate = 0.5
        if "delay" in lasting:
            network.delay, network.longest = 0.5, random.choice((400, 3_000))

    def _act(self) -> None:
        self._world.clock.after(self._random.randrange(1, 2 * self._pace), self._act)
        acts = [self._acts[each] for each in self.chosen if each in self._acts]
        if self._storm and acts:
            self._random.choice(acts)()

    def _later(self, longest: int, action: Callable[[], None]) -> None:
        """Ends a fault, unless a calm has ended it before."""
        self._world.clock.after(self._random.randrange(longest // 10, longest), action)

    def _anyone(self) -> Process | None:
        processes = self._world.processes()
        if not processes:
            return None
        leader = self._world.leader()
        if leader is not None and self._random.randrange(3) == 0:
            return leader
        return self._random.choice(processes)

    # The network.

    def _drop(self) -> None:
        network = self._world.network
        network.drop = self._random.choice((0.02, 0.1, 0.3))
        self._world.note("--- drops {} of all messages", network.drop)
        self._later(8_000, lambda: setattr(network, "drop", 0.0))

    def _delay(self) -> None:
        network = self._world.network
        network.delay = self._random.choice((0.05, 0.5))
        network.longest = self._random.choice((100, 400, 3_000))
        self._world.note("--- delays by up to {} ms", network.longest)
        self._later(8_000, lambda: setattr(network, "delay", 0.0))

    def _duplicate(self) -> None:
        network = self._world.network
        network.duplicate = self._random.choice((0.05, 0.3))
        self._later(8_000, lambda: setattr(network, "duplicate", 0.0))

    def _partition(self) -> None:
        world = self._world
        ids = list(world.hosts)
        self._random.shuffle(ids)
        leader = world.leader()
        if leader is not None and self._random.randrange(3) == 0:
            side = [leader.raft_id]
        else:
            side = ids[: self._random.randrange(1, len(ids) + 1)]
        rest = [each for each in ids if each not in side]
        world.note("--- cuts {} from {}", side, rest)
        world.network.block(side, rest)
        world.network.block(rest, side)
        self._heal_cut_later()

    def _oneway(self) -> None:
        world = self._world
        ids = list(world.hosts)
        senders = self._random.sample(ids, self._random.randrange(1, len(ids) + 1))
        receivers = self._random.sample(ids, self._random.randrange(1, len(ids) + 1))
        world.note("--- cuts the way from {} to {}", senders, receivers)
        world.network.block(senders, receivers)
        self._heal_cut_later()

    def _heal_cut_later(self) -> None:
        """All cuts end with the newest of them."""
        self._cuts += 1
        self._later(6_000, partial(self._heal_cut, self._cuts))

    def _heal_cut(self, number: int) -> None:
        if number == self._cuts:
            self._world.network.blocked.clear()

    def _snapshot(self) -> None:
        network = self._world.network
        network.snapshot_cut = self._random.choice((0.3, 0.9))
        self._later(8_000, lambda: setattr(network, "snapshot_cut", 0.0))

    # Processes and machines.

    def _some(self, end: Callable[[Process], None]) -> None:
        """Does something to one, or at times to all."""
        if self._random.randrange(5) == 0:
            for process in self._world.processes():
                end(process)
        else:
            one = self._anyone()
            if one is not None:
                end(one)

    def _kill(self) -> None:
        self._some(self._world.killed)

    def _power(self) -> None:
        """Now, or so many operations of the disk later."""
        soon = self._random.randrange(6)
        if soon:
            self._some(lambda process: self._cut_after(process, self._random.randrange(8)))
        else:
            self._some(self._world.power_lost)

    def _cut_after(self, process: Process, operations: int) -> None:
        disk = process.drive.disk
        disk.cut_at = disk.operations + operations

    def _sync(self) -> None:
        after = self._random.randrange(2) == 0
        self._some(lambda each: each.drive.cut_at_sync(self._random.randrange(3), after=after))

    def _pause(self) -> None:
        process = self._anyone()
        if process is not None:
            process.pause()
            self._later(5_000, process.go_on)

    def _clocks(self) -> None:
        for process in self._world.processes():
            process.rate = self._random.choice((0.3, 0.7, 0.9, 1.0, 1.1, 1.5, 3.0))

    def _transfer(self) -> None:
        """To one member, or to two at about the same time, who then compete for a term."""
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._world.clock.after(self._random.randrange(8), self._let_lead)

    def _let_lead(self) -> None:
        leader = self._world.leader()
        asked = leader if self._random.randrange(3) else self._anyone()
        if leader is None or asked is None:
            return
        members = [*leader.conf.voters, *leader.conf.learners]
        to = self._random.choice([each for each in members if each != leader.raft_id] or members)
        self._world.note("{} is told to let {} lead", asked.raft_id, to)
        asked.do(asked.raw.transfer_leader, to)
        if "oneway" in self.chosen and self._random.randrange(3) == 0:
            self._world.clock.after(self._random.randrange(2, 12), self._mute, to)

    def leader_left(self, raft_id: int) -> None:
        """A leader has led itself out of the group: who hears of that?"""
        if self._storm and "oneway" in self.chosen and self._random.randrange(2):
            self._mute(raft_id)

    def _mute(self, raft_id: int) -> None:
        """What it says arrives nowhere, or only at some."""
        ids = list(self._world.hosts)
        deaf = self._random.sample(ids, self._random.randrange(1, len(ids) + 1))
        self._world.note("--- cuts the way from {} to {}", raft_id, deaf)
        self._world.network.block([raft_id], deaf)
        self._heal_cut_later()

    # Disks.

    def _fsync(self) -> None:
        process = self._anyone()
        if process is not None:
            operations = ("fdatasync", "append", "fsync_dir", "rename")
            process.drive.failing = self._random.choice(operations)

    def _full(self) -> None:
        process = self._anyone()
        if process is None:
            return
        host = self._world.hosts[process.raft_id]
        host.full = host.drive.full = True
        self._world.note("--- the disk of {} is full", host.raft_id)

        def free() -> None:
            host.full = host.drive.full = False

        self._later(6_000, free)

    def _slow(self) -> None:
        world = self._world
        world.slow_disk = self._random.choice((0.05, 0.5))
        self._later(6_000, lambda: setattr(world, "slow_disk", 0.0))

    def _rot(self) -> None:
        """Only where enough others still have what this member may lose."""
        world, conf = self._world, self._world.invariants.conf
        process = self._anyone()
        if process is None or process.raft_id in world.invariants.removed:
            return
        raft_id = process.raft_id
        settled = world.invariants.conf_is_known()
        halves = (list(conf.voters), list(conf.voters_outgoing))
        enough = all(world.alive_enough_without(half, raft_id) for half in halves if half)
        if settled and enough and raft_id in conf.voters:
            world.killed(process)
            world.hosts[raft_id].damage()
