"""What goes wrong: a storm picks among the faults that the settings name. All of it heals."""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.control.loop import Process

if TYPE_CHECKING:
    from tests.sim.control.containers import Container
    from tests.sim.control.host import Host
    from tests.sim.control.manager import Manager
    from tests.sim.control.world import World


class Faults:
    """Each run has only some of the faults, and its own pace: so none hides another."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = random = world.random
        self._acts: dict[str, Callable[[], object]] = {
            "kill": self._kill,
            "stop": self._stop,
            "agent": self._agent,
            "power": self._power,
            "sync": self._sync,
            "fsync": self._fsync,
            "slow": self._slow,
            "pause": self._pause,
            "partition": self._partition,
            "cutleader": self._cut_leader,
            "oneway": self._oneway,
            "drop": self._drop,
            "delay": self._delay,
            "reset": self._reset,
            "transfer": self._transfer,
            "crash": self._crash,
            "ill": self._ill,
            "clock": self._clock,
        }
        enabled = [each for each in self._acts if each in world.settings.faults]
        few = len(enabled) < 4
        self._chosen = [each for each in enabled if few or random.random() < 0.7]
        self._pace = random.choice((1.0, 2.5, 6.0))
        self._storm = False
        self._paused: list[Process] = []

    def begin(self) -> None:
        """Storms for ever, except while it is calm."""
        self._storm = True
        self._world.note("faults: {}", ", ".join(self._chosen) or "none")
        self._world.network.later(self._pace, self._act)

    def resume(self) -> None:
        """The calm is over."""
        self._storm = True

    def heal(self) -> None:
        """Everything works again; what is down starts."""
        self._storm = False
        world = self._world
        world.network.calm()
        world.slow_disk = 0.0
        self._go_on()
        for host in world.hosts.values():
            host.drive.disk.cut_at = None
            host.drive.syncs_until_cut = -1
            host.power_on()
            host.start_manager()
            host.start_agent()

    def _act(self) -> None:
        self._world.network.later(self._random.uniform(0.1, 2 * self._pace), self._act)
        if self._storm and self._chosen:
            self._acts[self._random.choice(self._chosen)]()

    def _later(self, longest: float, action: Callable[[], object]) -> None:
        self._world.network.later(self._random.uniform(longest / 10, longest), action)

    def _manager(self) -> "Manager | None":
        """One that runs; often the leader."""
        leader = self._world.leader()
        if leader is not None and self._random.random() < 0.5:
            return leader
        running = [h.manager for h in self._world.hosts.values() if h.manager is not None]
        return self._random.choice(running) if running else None

    def _host(self) -> "Host":
        return self._random.choice(list(self._world.hosts.values()))

    # Processes and machines.

    def _kill(self) -> None:
        manager = self._manager()
        if manager is not None:
            manager.host.kill_manager()

    def _stop(self) -> None:
        manager = self._manager()
        if manager is not None and not manager.process.paused:
            self._world.note("{} is asked to stop its manager", manager.host.name)
            manager.process.spawn(manager.stop())

    def _agent(self) -> None:
        self._host().kill_agent()

    def _power(self) -> None:
        host = self._host()
        if host.on:
            host.lose_power()

    def _sync(self) -> None:
        manager = self._manager()
        if manager is not None:
            after = self._random.random() < 0.5
            manager.host.drive.cut_at_sync(self._random.randrange(3), after=after)

    def _fsync(self) -> None:
        manager = self._manager()
        if manager is not None:
            operation = self._random.choice(("fdatasync", "append"))
            manager.host.drive.disk.fail_next(operation, errno.EIO)

    def _slow(self) -> None:
        self._world.slow_disk = self._random.choice((0.05, 0.4))
        self._later(6.0, lambda: setattr(self._world, "slow_disk", 0.0))

    def _pause(self) -> None:
        manager, agent = self._manager(), self._host().agent
        process = agent
        if manager is not None and self._random.random() < 0.6:
            process = manager.process
        if process is not None:
            self._world.note("{} stands still", process.name)
            process.pause()
            self._paused.append(process)
            self._later(self._random.choice((2.0, 12.0)), self._go_on)

    def _go_on(self) -> None:
        paused, self._paused = self._paused, []
        for process in paused:
            self._world.note("{} goes on", process.name)
            process.go_on()

    def _clock(self) -> None:
        """Of a manager as often as not; it stays wrong, as nothing here needs a right one."""
        manager = self._manager()
        host = self._host() if manager is None else manager.host
        host.skew = self._random.choice((-20000.0, -600.0, -5.0, 0.0, 5.0, 600.0, 20000.0))
        self._world.note("--- the clock of {} is {} s fast", host.name, int(host.skew))

    # The network.

    def _partition(self) -> None:
        names = self._world.everybody()
        self._random.shuffle(names)
        some = names[: self._random.randrange(1, len(names))]
        others = [each for each in names if each not in some]
        self._world.note("--- cuts {} from {}", some, others)
        self._world.network.block(some, others)
        self._later(12.0, self._world.network.blocked.clear)

    def _cut_leader(self) -> None:
        """From the other managers alone: agents and people still reach it."""
        leader = self._world.leader()
        if leader is not None:
            others = [host.name for host in self._world.hosts.values() if host.place is not None]
            self._world.note("--- cuts {} from the other managers", leader.host.name)
            self._world.network.block([leader.host.name], others)
            self._later(12.0, self._world.network.blocked.clear)

    def _oneway(self) -> None:
        names = self._world.everybody()
        senders = self._random.sample(names, self._random.randrange(1, len(names)))
        receivers = self._random.sample(names, self._random.randrange(1, len(names)))
        self._world.note("--- cuts the way from {} to {}", senders, receivers)
        self._world.network.block_way(senders, receivers)
        self._later(8.0, self._world.network.blocked.clear)

    def _drop(self) -> None:
        network = self._world.network
        network.drop = self._random.choice((0.02, 0.2))
        self._later(8.0, lambda: setattr(network, "drop", 0.0))

    def _delay(self) -> None:
        network = self._world.network
        network.delay, network.longest = 0.3, self._random.choice((0.1, 0.5, 2.0))
        self._later(8.0, lambda: setattr(network, "delay", 0.0))

    def _reset(self) -> None:
        """Some connections break."""
        rate = self._random.choice((0.2, 1.0))
        for call in list(self._world.network.calls):
            if self._random.random() < rate:
                call.reset()

    # What is no fault, but disturbs.

    def _transfer(self) -> None:
        leader = self._world.leader()
        if leader is not None:
            self._world.note("{} is asked to hand over", leader.host.name)
            leader.process.spawn(leader.hand_over())

    def _crash(self) -> None:
        """A container ends by itself."""
        running = self._running()
        if running:
            self._world.end_container(self._random.choice(running))

    def _ill(self) -> bool:
        """The health check of a container fails from now on; False if none has one."""
        checked = [each for each in self._running() if each.checked]
        if checked:
            container = self._random.choice(checked)
            self._world.note("{} falls ill", container.task.id)
            container.fall_ill()
        return bool(checked)

    def illness(self) -> bool:
        """In a calm, where everything else is well: whether a container falls ill."""
        return "ill" in self._chosen and self._ill()

    def _running(self) -> "list[Container]":
        hosts = self._world.hosts.values()
        return [each for host in hosts for each in host.containers.values() if each.running]
