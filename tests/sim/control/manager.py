"""One run of a manager's process: the real parts, put together as manager/server.py does it, with
the simulated network in the place of gRPC and the simulated disk below the log.

What is not there: the authority and its certificates, logs of tasks, health.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import grpc

from api.collector import Collector
from api.errors import Code, SwarmError
from api.serving import Caller
from api.v1 import (
    check_pb2_grpc,
    control_pb2_grpc,
    dispatcher_pb2_grpc,
    exec_pb2_grpc,
    logs_pb2_grpc,
    objects_pb2,
    raft_pb2_grpc,
    volume_pb2_grpc,
)
from manager.control.check import CheckBrokerService, NetworkCheckService
from manager.control.cluster import ClusterAffairs
from manager.control.events import EventStreams
from manager.control.exec import ExecBrokerService, ExecService
from manager.control.explaining import Explanations
from manager.control.files import Files
from manager.control.logs import LogBrokerService, LogsService
from manager.control.networks import Networks
from manager.control.service import ControlService
from manager.control.services import Services
from manager.control.volume_broker import VolumeBrokerService
from manager.control.volume_data import VolumeData
from manager.control.volume_moves import VolumeMoves
from manager.control.volume_orders import VolumeOrders
from manager.control.volumes import Volumes
from manager.dispatcher.service import DispatcherService
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.forwarder import Forwarder
from manager.group.group import Group
from manager.group.keeper import Keeper
from manager.group.service import ManagerGroupService
from manager.group.status import group_status
from manager.leader import Leader
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.node import RaftNode
from manager.reign import Reign
from manager.state.machine import LogProposer
from manager.state.swarm_clock import SwarmClock
from manager.state.watch import WatchHub
from tests.sim.control.calls import Channel, Server
from tests.sim.control.loop import Process
from tests.sim.control.watched import WatchedMachine
from tests.sim.control.wire import Wire
from tests.support.sim_disk import PowerCut

if TYPE_CHECKING:
    from tests.sim.control.host import Host
    from tests.sim.control.world import World

CLUSTER = "sim"


class _NoKeys:
    def rotate(self) -> None:
        """The disk is not sealed here."""


class Manager:
    """`process` lives until it is killed, or ends by itself."""

    def __init__(self, world: "World", host: "Host", place: GroupIdentity, *, found: bool) -> None:
        """SwarmError, PowerCut: it does not start."""
        self.world = world
        self.host = host
        self.process = Process(world.loop, f"manager {host.name}")
        self._drive = host.drive
        wal, recovered = Wal.open(
            self._drive,
            cluster_id=CLUSTER,
            node_id=host.name,
            keys=None,
            segment_bytes=world.segment_bytes,
        )
        self._hub = WatchHub()
        self.machine = WatchedMachine(world.watch, self._hub, host.name)
        self.store = self.machine.store
        self._wire = Wire(self)
        self.node = RaftNode(
            identity=place,
            wal=wal,
            recovered=recovered,
            snapshots=SnapshotStore(self._drive, cluster_id=CLUSTER, node_id=host.name, keys=None),
            machine=self.machine,
            keys=_NoKeys(),
            transport=self._wire,
            snapshot_interval=lambda: world.snapshot_interval,
            max_snapshots=lambda: 0,
            chance=world.random,
            monotonic=world.loop.time,
            bootstrap=found,
        )
        self._compose()

    def start(self) -> None:
        """Serves and takes part."""
        self.world.network.servers[self.host.address] = Server(self.process, self._handlers())
        self.process.call(self._begin)

    @property
    def leads(self) -> bool:
        """Whether it does what a leader does."""
        return self.process.alive and not self.process.paused and self.node.is_leader

    async def stop(self) -> None:
        """SIGTERM, as Manager.stop: hands over, then goes."""
        if len(self._group.members()) > 1:
            await self.hand_over()
        self.host.manager_ended(self, "stopped")

    async def hand_over(self) -> None:
        """Lets another lead, if one can."""
        if self.node.is_leader:
            with suppress(SwarmError):  # its disk has failed meanwhile
                await self.node.hand_over()

    def link_of(self, node_id: str) -> object | None:
        """The session of the node's agent, if this manager leads and has one."""
        term = self._dispatcher._present
        return None if term is None or not self.leads else term._links.get(node_id)

    def channel(self, address: str) -> grpc.aio.Channel:
        """A channel from this manager to another."""
        who = Caller("manager", self.host.name, CLUSTER, "tls")
        made = Channel(self.world.network, self.process, self.host.name, who, address)
        return cast(grpc.aio.Channel, made)

    def _compose(self) -> None:
        world, store, hub = self.world, self.store, self._hub
        self._group = Group(self.node)
        self._clock = SwarmClock(self.host.wall, world.loop.time, lambda: store.at)
        self.proposer = LogProposer(self.node, self._clock)
        self._logs = LogsService(store=store, hub=hub, monotonic=world.loop.time, ids=world.new_id)
        skewed = self.host.keeper.clock if world.settings.volumes else world.loop.time
        self._dispatcher = DispatcherService(
            store=store,
            hub=hub,
            proposer=self.proposer,
            clock=self._clock,
            monotonic=skewed,
            ids=world.new_id,
            chance=world.random,
            leader=self._leader_address,
            confirm=self.node.confirm_lead,
        )
        self._commands = ExecService(
            store=store, hub=hub, monotonic=world.loop.time, ids=world.new_id
        )
        self._checks = NetworkCheckService(
            store=store, ids=world.new_id, told=self._dispatcher.digests
        )
        self._volume_orders = VolumeOrders(
            store=store, hub=hub, proposer=self.proposer, monotonic=skewed, ids=world.new_id
        )
        self._volume_data = VolumeData(store, self._volume_orders)
        self.duties = Leader(
            store=store,
            hub=hub,
            proposer=self.proposer,
            dispatcher=self._dispatcher,
            logs=self._logs,
            commands=self._commands,
            checks=self._checks,
            volume_orders=self._volume_orders,
            volume_data=self._volume_data,
            keeper=Keeper(store, self.proposer, self._group, self.node.subscribe),
            ids=world.new_id,
            clock=self._clock,
        )

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        world = self.world
        collector: Any = Collector()
        affairs = ClusterAffairs(
            self.store,
            self.proposer,
            ids=world.new_id,
            clock=self._clock,
            needed=self._group.needed,
        )
        services = Services(self.store, self.proposer, world.new_id, self._clock)
        control_pb2_grpc.add_ControlServicer_to_server(
            ControlService(
                self.store,
                self._hub,
                services,
                affairs,
                Files(objects_pb2.Secret, self.store, self.proposer, world.new_id),
                Files(objects_pb2.Config, self.store, self.proposer, world.new_id),
                EventStreams(
                    self.machine.history,
                    self.store,
                    self.host.wall,
                    in_touch=lambda: self.node.leader is not None,
                ),
                Networks(self.store, self.proposer, world.new_id),
                Volumes(self.store, self.proposer, world.new_id),
                VolumeMoves(self.store, self.proposer, world.new_id),
                lambda: group_status(self._group, self.node, self.store),
                Explanations(self.store, self._clock),
            ),
            collector,
        )
        raft_pb2_grpc.add_ManagerGroupServicer_to_server(
            ManagerGroupService(self.store, self.proposer, self._group), collector
        )
        channels = ManagerChannels(self.channel)
        direct: Any = Collector()
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(self._dispatcher, direct)
        logs_pb2_grpc.add_LogBrokerServicer_to_server(LogBrokerService(self._logs), direct)
        exec_pb2_grpc.add_ExecBrokerServicer_to_server(ExecBrokerService(self._commands), direct)
        check_pb2_grpc.add_CheckBrokerServicer_to_server(CheckBrokerService(self._checks), direct)
        volume_pb2_grpc.add_VolumeBrokerServicer_to_server(
            VolumeBrokerService(self._volume_data), direct
        )
        return [Forwarder(collector.handlers, self.node, channels), *direct.handlers]

    def _begin(self) -> None:
        self.node.subscribe(self._changed)
        running = asyncio.create_task(self._run())
        running.add_done_callback(self._ended)

    async def _run(self) -> None:
        parts = [
            asyncio.create_task(self.node.run()),
            asyncio.create_task(Reign(self.node, self.duties.run).run()),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    def _ended(self, run: asyncio.Task[None]) -> None:
        if run.cancelled() or not self.process.alive:
            if not run.cancelled():
                run.exception()
            return
        error = run.exception()
        if isinstance(error, PowerCut):
            self.host.lose_power()
            return
        known = isinstance(error, SwarmError) and error.code is Code.UNAVAILABLE
        if not known:
            self.world.loop.failures.append(error or RuntimeError("a manager ended by itself"))
        self.host.manager_ended(self, f"{error}")

    def _changed(self) -> None:
        if self.process.alive:
            self.host.leadership_changed(self)

    def _leader_address(self) -> str:
        leader = self.node.leader
        if leader is None or self.node.leader_id == self.node.raft_id:
            return ""
        return leader.address
