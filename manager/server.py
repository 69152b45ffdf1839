"""A manager: its log and store, what it serves and on which ports, and how all that lives and dies.

Composes; decides nothing. The control port carries everything between nodes over mutual TLS, the
identity port (one above) serves those that have no valid certificate.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from api.channel import SERVER_OPTIONS, ca_server_credentials, node_server_credentials
from api.errors import Code, SwarmError
from api.identity import Credentials, Identity
from api.ids import new_id
from api.serving import ErrorInterceptor
from api.v1 import (
    ca_pb2_grpc,
    control_pb2_grpc,
    dispatcher_pb2_grpc,
    health_pb2_grpc,
    logs_pb2_grpc,
    objects_pb2,
)
from hostkit.clock import Clock
from manager.ca.authorize import Authorizer
from manager.ca.roles import ROLES
from manager.ca.service import CaRenewalService, CaService
from manager.control.cluster import ClusterAffairs
from manager.control.health import HealthService
from manager.control.logs import LogBrokerService, LogsService
from manager.control.service import ControlService
from manager.control.services import Services
from manager.dispatcher.service import DispatcherService
from manager.leader import Leader
from manager.raft.disk import RealDisk
from manager.raft.keyring import FileKeys
from manager.raft.snapshots import SnapshotStore
from manager.raft.solo import Solo
from manager.raft.wal import Wal
from manager.state.changes import StoredObject, batch, create
from manager.state.machine import LogProposer, StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub

logger = logging.getLogger(__name__)

DEFAULT_SNAPSHOT_INTERVAL = 10_000
STOP_GRACE = 1.0
"""Seconds that calls under way get when the manager stops."""


@dataclass(frozen=True)
class ManagerConfig:
    """Who this manager is and where it listens; addresses are host:port."""

    directory: Path
    node_id: str
    cluster_id: str
    listen_address: str
    advertise_address: str
    credentials: Credentials
    clock: Clock
    monotonic: Clock


class Manager:
    """One manager. `start` it, keep `run` running, then `stop` it."""

    def __init__(self, config: ManagerConfig) -> None:
        self._config = config
        self._hub = WatchHub()
        self.store = Store()
        self._solo = self._open_log()
        self._proposer = LogProposer(self._solo, config.clock)
        self._servers: list[grpc.aio.Server] = []
        self._log_task: asyncio.Task[None] | None = None
        store, hub, proposer = self.store, self._hub, self._proposer
        self._dispatcher = DispatcherService(
            store=store,
            hub=hub,
            proposer=proposer,
            clock=config.clock,
            monotonic=config.monotonic,
            ids=new_id,
            chance=random.SystemRandom(),
        )
        self._logs = LogsService(store=store, hub=hub, monotonic=config.monotonic, ids=new_id)
        self._control = ControlService(
            store,
            hub,
            Services(store, proposer, new_id),
            ClusterAffairs(store, proposer, ids=new_id, clock=config.clock),
        )
        self._leader = Leader(
            store=store,
            hub=hub,
            proposer=proposer,
            dispatcher=self._dispatcher,
            ids=new_id,
            clock=config.clock,
        )
