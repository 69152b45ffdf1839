"""A whole swarm in a world of its own: hosts, managers, agents, containers and people, on virtual
time. Everything follows from one seed.

What runs is the code of production, from the dispatcher's servicer down to the write-ahead log, and
from the agent down to its task machine. Simulated are the network (in the place of gRPC), disks,
containers, time and chance. Storms of faults alternate with calms, in which the swarm must come to
what was asked of it, and to rest.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from manager.ca.bootstrap import new_node
from manager.raft.node import duties, engine
from manager.state.changes import StoredObject, batch, create
from manager.state.proposer import propose_one
from tests.sim.control.checks import Checks, converged
from tests.sim.control.containers import Container, Exit
from tests.sim.control.disk import DiskThread
from tests.sim.control.faults import Faults
from tests.sim.control.host import Host
from tests.sim.control.loop import Process, VirtualLoop
from tests.sim.control.manager import Manager
from tests.sim.control.network import Network
from tests.sim.control.settings import Settings
from tests.sim.control.shared_storage import SharedStorage
from tests.sim.control.users import LAPTOP, Users
from tests.sim.control.watched import Watch
from tests.sim.raft.transcript import Transcript
from tests.sim.raft.violation import Violation
from tests.support.builders import EPOCH, cluster, mount, network, service, task_spec, volume
from tests.support.sim_disk import FATES, Dice, Fate
from worker import drains

KEPT = 12
"""Entries kept below a snapshot; few, so that managers do lag too far."""
CALM = 240.0
"""Seconds after healing in which everything must be as it was asked for, and at rest."""
REST = 8.0
"""Seconds without any entry after which the loops count as resting."""
WORKERS = 3
VOLUME = "data"
FRONT = "10.0.9.0/27"
"""The network of most services: so small that it is full now and then."""


class World:
    """Make one in `new_world`, then `run` it."""

    def __init__(self, loop: VirtualLoop, settings: Settings, transcript: Transcript) -> None:
        self.settings = settings
        self.transcript = transcript
        self.random = Random(settings.seed)
        self.loop = loop
        loop.blocking = self.disk_delay
        self.network = Network(loop, self.random)
        self.storage = SharedStorage(self, guarded=settings.volumes and settings.seed % 2 == 1)
        self.watch = Watch()
        self.checks = Checks(self)
        self.slow_disk = 0.0
        self.history_limit = 3
        self.snapshot_interval = self.random.choice((20, 60, 300))
        self.segment_bytes = self.random.choice((4_000, 60_000))
        self.moves_managers = "members" in settings.faults and self.random.random() < 0.6
        self.over = False
        self.left: list[asyncio.Task[Any]] = []
        """What was still under way when all had ended."""
        self._ids = 0
        self._raft_ids = 100
        self._managers = settings.managers or self.random.choice((1, 3, 3, 3, 5))
        names = [f"m{n}" for n in range(1, self._managers + 1)]
        names += [f"w{n}" for n in range(1, WORKERS + 1)]
        self.hosts = {name: Host(self, n, name) for n, name in enumerate(names, 1)}
        self.users = Users(self)
        self.faults = Faults(self)

    def run(self) -> None:
        """The whole run. Raises what broke."""
        self._found()
        self._calm()
        while self.loop.steps < self.settings.steps:
            self.users.acts.set()
            self.faults.resume()
            storm = self.loop.time() + self.random.uniform(15.0, 60.0)
            while self.loop.time() < storm and self.loop.steps < self.settings.steps:
                self._step()
            self._calm()

    def _step(self) -> None:
        self.loop.step()
        if self.loop.failures:
            raise self.loop.failures[0]

    def _found(self) -> None:
        first = self.hosts["m1"]
        first.found()
        self._until(lambda: first.manager is not None and first.manager.leads, 30.0)
        assert first.manager is not None
        done = first.manager.process.spawn(
            propose_one(first.manager.proposer, batch(*map(create, self._first_objects())))
        )
        self._until(done.done, 10.0)
        if self.settings.volumes:
            db = service("db", 1, spec=mount(task_spec(delay=1), VOLUME, VOLUME))
            done = first.manager.process.spawn(
                propose_one(first.manager.proposer, batch(create(db)))
            )
            self._until(done.done, 10.0)
        for host in self.hosts.values():
            host.start_agent()
        self.users.begin()
        self.checks.begin()
        self.faults.begin()

    def _first_objects(
        self,
    ) -> Iterable[StoredObject]:
        made = cluster(self.history_limit)
        made.spec.heartbeat_period.seconds = 2
        yield made
        yield network("ingress", ingress=True)
        yield network("front", FRONT)
        if self.settings.volumes:
            yield volume(VOLUME, term=self.random.choice((5, 10, 20)))
        for name, host in self.hosts.items():
            role = types_pb2.NODE_ROLE_WORKER
            if name.startswith("m"):
                role = types_pb2.NODE_ROLE_MANAGER
            found = new_node(
                name, role, types_pb2.NODE_AVAILABILITY_ACTIVE, self.wall(), key=b"key"
            )
            if name == "m1":
                found.manager.address = host.address
            yield found

    def _calm(self) -> None:
        """Heals, repairs, and waits until all is as it was asked for."""
        self.note("--- calm")
        self.users.acts.clear()
        self.faults.heal()
        end = self.loop.time() + CALM
        self._until(lambda: not self.users.busy, CALM, "people have no answers")
        repaired = self.users.process.spawn(self.users.repair())
        self._until(repaired.done, end - self.loop.time(), "people have no answers")
        leader = self.leader()
        if leader is not None and self.random.random() < 0.5:
            self.note("{} is asked to hand over", leader.host.name)
            leader.process.spawn(leader.hand_over())  # another goes on with what is under way
        self._come_to_rest(end)
        if self.faults.illness():
            self._come_to_rest(self.loop.time() + CALM)
        self.checks.all_there()
        self.note("--- all is well")

    def _come_to_rest(self, end: float) -> None:
        commands, since = -1, self.loop.time()
        while True:
            moment = self.loop.time() + 0.5
            while self.loop.time() < moment:
                self._step()
            problem = converged(self)
            if problem or self.watch.commands != commands:
                commands, since = self.watch.commands, self.loop.time()
            elif self.loop.time() >= since + REST:
                break
            if self.loop.time() > end:
                raise Violation("convergence", problem or "the loops never rest")

    def _until(self, condition: Any, within: float, problem: str = "nothing begins") -> None:
        end = self.loop.time() + within
        while not condition():
            self._step()
            if self.loop.time() > end:
                raise Violation("convergence", problem)

    # What there is.

    def wall(self) -> float:
        """Seconds since the epoch."""
        return EPOCH + self.loop.time()

    def new_id(self) -> str:
        """An id that nobody had before."""
        self._ids += 1
        return f"id{self._ids:06}"

    def new_raft_id(self) -> int:
        """Likewise."""
        self._raft_ids += 1
        return self._raft_ids

    def seeds(self) -> list[dispatcher_pb2.ManagerAddress]:
        """The managers that everybody knew of at the beginning."""
        return [
            dispatcher_pb2.ManagerAddress(address=host.address, weight=1)
            for name, host in self.hosts.items()
            if name.startswith("m")
        ]

    def manager_addresses(self) -> list[str]:
        """Where people ask."""
        return [host.address for host in self.hosts.values() if host.place is not None]

    def everybody(self) -> list[str]:
        """All hosts, and the one of people."""
        return [*self.hosts, LAPTOP]

    def leader(self) -> Manager | None:
        """The manager that does a leader's duties; at random if two believe it."""
        found = [
            h.manager for h in self.hosts.values() if h.manager is not None and h.manager.leads
        ]
        return self.random.choice(found) if found else None

    def link_of(self, node_id: str) -> object | None:
        """The session that a leader has with the node's agent."""
        for host in self.hosts.values():
            if host.manager is not None and (link := host.manager.link_of(node_id)) is not None:
                return link
        return None

    # What happens in it.

    def note(self, what: str, *args: object) -> None:
        """For the transcript."""
        self.transcript.note(int(self.loop.time() * 1000), what, *args)

    def fate(self) -> Fate:
        """What a power cut leaves."""
        if self.random.random() < 0.5:
            return Dice(self.random)
        return self.random.choice(FATES)

    def disk_delay(self) -> float:
        """Seconds that a sync takes."""
        if self.slow_disk and self.random.random() < self.slow_disk:
            return self.random.uniform(0.0, 1.5)
        return self.random.uniform(0.0005, 0.004)

    def power_cut(self, process: Process) -> None:
        """The disk of this manager has lost power."""
        for host in self.hosts.values():
            if host.manager is not None and host.manager.process is process:
                host.lose_power()

    def end_container(self, container: Container) -> None:
        """It ends by itself."""
        code = self.random.choice((0, 1, 1))
        self.note("{} ends with {}", container.task.id, code)
        container.end(Exit(code, self.wall()))

    def container_started(self, container: Container) -> None:
        """A broken image does not run for long, a sick one is never well, a job ends."""
        if container.task.spec.container.image.startswith("sick"):
            container.fall_ill()
        if container.task.spec.container.image.startswith("broken"):
            self.network.later(self.random.uniform(0.05, 1.0), self.end_container, container)
        if container.task.spec.container.image.startswith("job"):
            done = Exit(0, self.wall())
            self.network.later(self.random.uniform(0.2, 6.0), container.end, done)

    def describe(self) -> list[str]:
        """Managers and tasks, for people."""
        lines = []
        for host in self.hosts.values():
            if host.manager is not None:
                lines.append(f"{host.name}: {host.manager.node.status().describe()}")
            elif host.place is not None:
                lines.append(f"{host.name}: its manager is down")
        for task in self.watch.store.all(objects_pb2.Task):
            lines.append(
                f"{task.id} of {task.service_id} slot {task.slot} v{task.spec_version} on "
                f"{task.node_id or '-'}: {task.status.state}, wanted {task.desired_state} "
                f"{task.status.message} {task.status.error}"
            )
        return lines

    def end(self) -> None:
        """Lets everything that still runs come to its end."""
        self.over = True
        self.faults.heal()
        processes = [self.users.process]
        for host in self.hosts.values():
            processes += [host.agent] if host.agent is not None else []
            processes += [host.manager.process] if host.manager is not None else []
        for process in processes:
            process.kill()
        moment = self.loop.time() + 1.0
        while self.loop.time() < moment and self.loop.step():
            pass
        self.left = [task for each in self.loop.processes for task in each.tasks]


@contextmanager
def new_world(settings: Settings, transcript: Transcript) -> Iterator[World]:
    """A world on a loop of its own."""
    with VirtualLoop() as loop:
        world = World(loop, settings, transcript)
        disk = type("DiskThread", (DiskThread,), {"world": world})
        with (
            patch.object(duties, "KEPT_ENTRIES", KEPT),
            patch.object(engine, "DiskThread", disk),
            patch.object(drains, "ON_THE_WAY", 0.0),  # it would hide who is led astray for a moment
        ):
            try:
                yield world
            finally:
                world.end()
