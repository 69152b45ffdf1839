"""What a manager serves, where and to whom: operators, members of the cluster, strangers.

What only the leader may answer goes through the Forwarder. Decides nothing else; what each role
may call is said in manager.ca.roles.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc

from api.collector import Collector
from api.errors import SwarmError
from api.health import HealthService
from api.identity import Credentials
from api.listener import Listener
from api.new_ids import new_id
from api.v1 import (
    ca_pb2_grpc,
    check_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    dispatcher_pb2_grpc,
    exec_pb2_grpc,
    health_pb2_grpc,
    logs_pb2_grpc,
    objects_pb2,
    raft_pb2_grpc,
    volume_pb2_grpc,
)
from api.v1.raft_pb2 import RaftGreeting
from manager.ca.members import Members
from manager.ca.service import CaRenewalService, CaService
from manager.ca.standing import Standing
from manager.config import ManagerConfig
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
from manager.control.volume_data import VolumeData, VolumeDataService
from manager.control.volume_moves import VolumeMoves
from manager.control.volumes import Volumes
from manager.dispatcher.service import DispatcherService
from manager.events.history import History
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.forwarder import Forwarder
from manager.group.group import Group
from manager.group.service import ManagerGroupService
from manager.group.status import group_status
from manager.ports import control_port, identity_port
from manager.raft.node.node import RaftNode
from manager.raft.transport.service import RaftService
from manager.state.machine import LogProposer
from manager.state.store import Store
from manager.state.swarm_clock import SwarmClock
from manager.state.watch import WatchHub

CATCH_UP = 2.0
"""Seconds that a caller who is not known here waits, in case that he is known to others by now."""


@dataclass(frozen=True, kw_only=True)
class OfferedParts:
    """The parts of a manager that its services speak for; `greeted`: see RaftService."""

    config: ManagerConfig
    clock: SwarmClock
    store: Store
    hub: WatchHub
    proposer: LogProposer
    node: RaftNode
    group: Group
    channels: ManagerChannels
    dispatcher: DispatcherService
    logs: LogsService
    standing: Standing
    commands: ExecService
    checks: NetworkCheckService
    volume_data: VolumeData
    greeted: Callable[[RaftGreeting, str], None]
    history: History


class Offer:
    """The services of one manager. `credentials` are the present ones, `complaint` its health."""

    def __init__(
        self,
        parts: OfferedParts,
        *,
        credentials: Callable[[], Credentials],
        complaint: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._credentials = credentials
        self._complaint = complaint
        self._events = EventStreams(
            parts.history,
            parts.store,
            parts.config.clock,
            in_touch=lambda: parts.node.leader is not None,
        )
        self._listeners: list[Listener] = []

    def to_operators(self) -> list[grpc.GenericRpcHandler]:
        """For the local socket of this host."""
        collector = Collector()
        self._add_control(collector)
        return [self._forwarder(collector)]

    def bind(self) -> None:
        """Takes both ports, with their services; nothing is answered before `start`.

        SwarmError UNAVAILABLE if a port is taken: then `stop` gives up the other.
        """
        parts, ca = self._parts, self._ca()
        address = parts.config.listen_address
        members, calls = Members(parts.store), parts.standing.calls
        control = control_port(address, members, self._shown, calls, self._catch_up)
        self._listeners.append(control)
        self._add_to_members(control.server, ca)
        identity = identity_port(address, self._credentials)
        self._listeners.append(identity)
        strangers = Collector()
        _add_ca(ca, strangers)
        identity.server.add_generic_rpc_handlers((self._forwarder(strangers),))

    async def start(self) -> None:
        """Answers from now on."""
        for listener in self._listeners:
            await listener.start()

    async def stop(self, grace: float) -> None:
        """Gives up both ports; calls under way have `grace` seconds."""
        await asyncio.gather(*(each.stop(grace) for each in self._listeners))

    def _add_to_members(self, server: grpc.aio.Server, ca: CaService) -> None:
        parts = self._parts
        forwarded = Collector()
        self._add_control(forwarded)
        self._add_membership(forwarded)
        _add_ca(ca, forwarded)
        server.add_generic_rpc_handlers((self._forwarder(forwarded),))
        raft_pb2_grpc.add_RaftServicer_to_server(RaftService(parts.node, parts.greeted), server)
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(parts.dispatcher, server)
        logs_pb2_grpc.add_LogBrokerServicer_to_server(LogBrokerService(parts.logs), server)
        exec_pb2_grpc.add_ExecBrokerServicer_to_server(ExecBrokerService(parts.commands), server)
        check_pb2_grpc.add_CheckBrokerServicer_to_server(CheckBrokerService(parts.checks), server)
        volume_pb2_grpc.add_VolumeBrokerServicer_to_server(
            VolumeBrokerService(parts.volume_data), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(
            HealthService({"manager": self._complaint}), server
        )

    def _add_control(self, server: Any) -> None:  # noqa: ANN401 - a server or a collector
        parts = self._parts
        affairs = ClusterAffairs(
            parts.store,
            parts.proposer,
            ids=new_id,
            clock=parts.config.clock,
            needed=parts.group.needed,
        )
        services = Services(
            parts.store,
            parts.proposer,
            new_id,
            parts.clock,
            ask_registry=parts.config.ask_registry,
        )
        moves = VolumeMoves(parts.store, parts.proposer, new_id)
        control = ControlService(
            parts.store,
            parts.hub,
            services,
            affairs,
            Files(objects_pb2.Secret, parts.store, parts.proposer, new_id),
            Files(objects_pb2.Config, parts.store, parts.proposer, new_id),
            self._events,
            Networks(parts.store, parts.proposer, new_id),
            Volumes(parts.store, parts.proposer, new_id),
            moves,
            self._status,
            Explanations(parts.store, parts.clock),
        )
        control_pb2_grpc.add_ControlServicer_to_server(control, server)
        logs_pb2_grpc.add_LogsServicer_to_server(parts.logs, server)
        exec_pb2_grpc.add_ExecServicer_to_server(parts.commands, server)
        check_pb2_grpc.add_NetworkCheckServicer_to_server(parts.checks, server)
        volume_pb2_grpc.add_VolumeDataServicer_to_server(
            VolumeDataService(parts.volume_data, moves, parts.hub), server
        )

    def _add_membership(self, server: Any) -> None:  # noqa: ANN401 - as above
        parts = self._parts
        ca_pb2_grpc.add_CaRenewalServicer_to_server(
            CaRenewalService(parts.store, parts.proposer, wall=parts.config.clock), server
        )
        raft_pb2_grpc.add_ManagerGroupServicer_to_server(
            ManagerGroupService(parts.store, parts.proposer, parts.group), server
        )

    def _forwarder(self, collector: Collector) -> Forwarder:
        return Forwarder(collector.handlers, self._parts.node, self._parts.channels)

    def _ca(self) -> CaService:
        config = self._parts.config
        return CaService(
            self._parts.store,
            self._parts.proposer,
            wall=config.clock,
            monotonic=config.monotonic,
            new_id=new_id,
        )

    async def _catch_up(self) -> None:
        """Until the state here is that of now; not for long, as nobody may lead."""
        with contextlib.suppress(SwarmError, TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self._parts.node.read_barrier()

    def _shown(self) -> Credentials:
        """What the control port shows and believes; threads of gRPC's call it."""
        return replace(self._credentials(), ca_pem=self._parts.standing.roots)

    def _status(self) -> control_pb2.ManagerGroupStatus:
        return group_status(self._parts.group, self._parts.node, self._parts.store)


def _add_ca(service: CaService, server: Any) -> None:  # noqa: ANN401 - a server or a collector
    ca_pb2_grpc.add_CaServicer_to_server(service, server)
