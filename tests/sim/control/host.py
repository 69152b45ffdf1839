"""A host: a disk, containers, what its agent keeps, and the processes that come and go on it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, cast

import grpc

from api.errors import Code, SwarmError
from api.files import Key
from api.payloads import Content
from api.serving import Caller
from api.status import from_grpc
from api.v1 import dispatcher_pb2, objects_pb2, raft_pb2, raft_pb2_grpc
from manager.raft.node.identity import GroupIdentity
from swarmctl.wished_role import wished_role
from tests.sim.control.containers import Container, Exit, SimExecutor
from tests.sim.control.disk import ghost
from tests.sim.control.known import KnownNetworks, PaperNetworks
from tests.sim.control.leases import LeasedChannel, LeaseKeeper
from tests.sim.control.loop import Process
from tests.sim.control.manager import CLUSTER, Manager
from tests.sim.control.storage import Kept, SimStorage
from tests.sim.raft.drive import Drive
from tests.support.sim_disk import PowerCut, SimDisk
from worker.agent import Agent
from worker.storage import Storage

if TYPE_CHECKING:
    from tests.sim.control.world import World

JOIN_PAUSE = 0.5
Update = dispatcher_pb2.TaskStatusUpdate


class WatchedAgent(Agent):
    """Notes what managers have acknowledged."""

    acknowledged: Callable[[list[Update]], None]
    keeper: LeaseKeeper
    host: "Host"

    async def greet(self, message: dispatcher_pb2.SessionMessage) -> None:
        """As Agent."""
        self.keeper.session_id = message.session_id
        await super().greet(message)

    async def assign(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """As Agent; the lease of a volume comes before the task that needs it."""
        self.keeper.follow(message)
        await super().assign(message)

    async def serve_logs(self, channel: grpc.aio.Channel) -> None:
        """Nobody asks for logs here; volumes are let go meanwhile."""
        try:
            await self.keeper.say(channel)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, "letting go of volumes") from error

    async def serve_volume_orders(self, channel: grpc.aio.Channel) -> None:
        """Orders are carried out at the storage of the simulation."""
        try:
            await self.host.world.storage.serve(self.host, channel)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, "orders about volumes") from error

    async def deliver(self, send: Callable[[list[Update]], Awaitable[None]]) -> None:
        """As Agent."""

        async def noted(updates: list[Update]) -> None:
            await send(updates)
            self.acknowledged(updates)

        await super().deliver(noted)


class Host:
    """One machine. `place`: its seat among the managers, if it has one; on its disk."""

    def __init__(self, world: "World", number: int, name: str) -> None:
        self.world = world
        self.number = number
        self.name = name
        self.address = f"{name}:2377"
        self.on = True
        self.drive = Drive(SimDisk())
        self.keeper = LeaseKeeper(self, world.settings.seed)
        self.containers: dict[str, Container] = {}
        self.kept = Kept()
        self.held: dict[Key, Content] = {}
        """The secrets that its agent has, or had when it was killed."""
        self.known = KnownNetworks()
        self.down_since = 0
        """The version at which it was declared down last."""
        self.place: GroupIdentity | None = None
        self.manager: Manager | None = None
        self.agent: Process | None = None
        self.told: objects_pb2.Node | None = None
        self.skew = 0.0
        """Seconds by which its wall clock is fast."""
        self._joining = False

    def wall(self) -> float:
        """What its wall clock shows."""
        return self.world.wall() + self.skew

    # The manager.

    def found(self) -> None:
        """A new group of this manager alone."""
        member = raft_pb2.Member(raft_id=self.number, node_id=self.name, address=self.address)
        self.place = GroupIdentity(self.number, 7, (member,))
        self.start_manager(found=True)

    def start_manager(self, *, found: bool = False) -> None:
        """Starts the process, or tries to again later."""
        if self.place is None or self.manager is not None or not self.on or self.world.over:
            return
        world = self.world
        try:
            self.manager = Manager(world, self, self.place, found=found)
        except PowerCut:
            self.lose_power()
        except (OSError, SwarmError) as error:
            if isinstance(error, SwarmError) and error.code is not Code.UNAVAILABLE:
                world.loop.failures.append(error)
            world.note("{} does not start its manager: {}", self.name, error)
            self._next_drive(self.drive.disk.after_kill())
            self._soon(self.start_manager)
        else:
            world.note("{} starts its manager", self.name)
            self.manager.start()

    def kill_manager(self) -> None:
        """SIGKILL."""
        if self.manager is not None:
            self.manager_ended(self.manager, "killed")

    def manager_ended(self, manager: Manager, why: str) -> None:
        """The process is gone; it starts again, if it still has a seat."""
        if manager is self.manager:
            self.world.note("{}: the manager ends: {}", self.name, why)
            self._end_manager(silently=False)
            self._next_drive(self.drive.disk.after_kill())
            self._soon(self.start_manager)

    def leadership_changed(self, manager: Manager) -> None:
        """For the transcript."""
        if manager.leads:
            self.world.note("{} leads term {}", self.name, manager.node.term)

    def _end_manager(self, *, silently: bool) -> None:
        manager, self.manager = self.manager, None
        if manager is not None:
            manager.process.kill()
            self.world.network.ended(manager.process, silently=silently)

    def _next_drive(self, disk: SimDisk) -> None:
        old = self.drive
        self.drive = Drive(disk, old.proven)
        ghost(old)

    # The machine.

    def lose_power(self) -> None:
        """Everything on it ends at once; the network hears nothing."""
        world = self.world
        world.note("{} loses power", self.name)
        self.on = False
        self._end_manager(silently=True)
        self._end_agent(silently=True)
        self._next_drive(self.drive.disk.after_power_cut(world.fate()))
        self.known = KnownNetworks()
        self.keeper.lose_power()
        for container in self.containers.values():
            if container.started:
                container.end(Exit(255, world.wall(), "the host lost power"))
        world.network.later(world.random.uniform(0.5, 12.0), self.power_on)

    def power_on(self) -> None:
        """Boots."""
        if not self.on:
            self.on = True
            self.world.note("{} boots", self.name)
            self.start_manager()
            self.start_agent()

    def _soon(self, action: Callable[[], None]) -> None:
        self.world.network.later(self.world.random.uniform(0.05, 3.0), action)

    # The agent.

    def start_agent(self) -> None:
        """Starts the process."""
        if self.agent is None and self.on and not self.world.over:
            self.agent = Process(self.world.loop, f"agent {self.name}")
            self.agent.spawn(self._run_agent(self.agent))

    def kill_agent(self) -> None:
        """SIGKILL; it starts again soon."""
        if self.agent is not None:
            self.world.note("{}: the agent is killed", self.name)
            self._end_agent(silently=False)
            self._soon(self.start_agent)

    def _end_agent(self, *, silently: bool) -> None:
        agent, self.agent = self.agent, None
        self._joining = False
        if agent is not None:
            agent.kill()
            self.world.network.ended(agent, silently=silently)

    async def _run_agent(self, process: Process) -> None:
        world = self.world
        networks = PaperNetworks(self.name, self.known, world.loop.time)
        agent = WatchedAgent(
            node_id=self.name,
            executor=SimExecutor(self, networks),
            storage=cast(Storage, SimStorage(self)),
            managers=world.seeds(),
            connect=lambda address: self._connect(process, "worker", address),
            wall=self.wall,
            chance=world.random,
            on_session=self._heard,
            networks=networks,
        )
        agent.keeper = self.keeper
        agent.host = self
        agent.acknowledged = lambda updates: world.checks.acknowledged(self, updates)
        await agent.run()

    def _connect(self, process: Process, role: str, address: str) -> grpc.aio.Channel:
        who = Caller("manager" if role == "manager" else "worker", self.name, CLUSTER, "tls")
        made = LeasedChannel(self.world.network, process, self.name, who, address)
        made.keeper = self.keeper
        return cast(grpc.aio.Channel, made)

    def kill_container(self, container: Container) -> None:
        """As its guardian does, when the lease of a volume is over."""
        container.end(Exit(137, self.world.wall(), "a lease is over"))

    # Its role, as swarmctl/life.py follows it.

    def _heard(self, message: dispatcher_pb2.SessionMessage) -> None:
        self.told = message.node
        self._follow([each.address for each in message.managers])

    def _follow(self, managers: list[str]) -> None:
        told, manager = self.told, self.manager
        removed = manager is not None and manager.node.removed
        wished = wished_role(told, manager=self.place is not None, removed=removed)
        if wished == "worker":
            self.world.note("{} is no manager any more", self.name)
            self._end_manager(silently=False)
            self.place = None
            self.drive = Drive(SimDisk())
            self._follow(managers)
        elif wished == "manager" and not self._joining and self.agent is not None:
            self._joining = True
            self.agent.spawn(self._join(self.agent, managers))

    async def _join(self, process: Process, managers: Iterable[str]) -> None:
        """As manager/seat.py: asks until it gets a seat; the id is new."""
        raft_id = self.world.new_raft_id()
        request = raft_pb2.JoinGroupRequest(address=self.address, raft_id=raft_id)
        for address in [*managers, *(each.address for each in self.world.seeds())]:
            channel = self._connect(process, "manager", address)
            try:
                given = await raft_pb2_grpc.ManagerGroupStub(channel).Join(request, timeout=10.0)
            except grpc.aio.AioRpcError as error:
                self.world.note("{} gets no seat from {}: {}", self.name, address, error.details())
                await asyncio.sleep(JOIN_PAUSE)
            else:
                self.world.note("{} has seat {}", self.name, raft_id)
                self.place = GroupIdentity(raft_id, given.group_id, tuple(given.members))
                self.drive = Drive(SimDisk())
                self.start_manager()
                break
        self._joining = False
