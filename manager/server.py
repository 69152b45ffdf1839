"""A manager: its log and store, what it serves and on which ports, and how all that lives and dies.

Composes; decides nothing. The control port carries everything between nodes over mutual TLS, the
identity port (one above) serves those that have no valid certificate.
"""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from api.address import identity_address, join_address, split_address
from api.channel import (
    CA_SERVER_OPTIONS,
    SERVER_OPTIONS,
    ca_server_credentials,
    node_server_credentials,
)
from api.errors import Code, SwarmError
from api.health import HealthService
from api.identity import Credentials, make_csr, new_key
from api.listener import Listener
from api.new_ids import new_id
from api.serving import ErrorInterceptor
from api.v1 import (
    ca_pb2_grpc,
    control_pb2_grpc,
    dispatcher_pb2_grpc,
    health_pb2_grpc,
    logs_pb2_grpc,
    objects_pb2,
    types_pb2,
)
from hostkit.clock import Clock
from manager.ca.authorize import Authorizer
from manager.ca.bootstrap import FirstObjects
from manager.ca.members import Members
from manager.ca.roles import ROLES
from manager.ca.service import CaRenewalService, CaService, Issuer
from manager.control.cluster import ClusterAffairs
from manager.control.logs import LogBrokerService, LogsService
from manager.control.service import ControlService
from manager.control.services import Services
from manager.dispatcher.service import DispatcherService
from manager.leader import Leader
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.solo import Solo
from manager.state.changes import batch, copy, update
from manager.state.machine import LogProposer, StoreMachine
from manager.state.proposer import propose_one
from manager.state.store import Store
from manager.state.watch import WatchHub

logger = logging.getLogger(__name__)

DEFAULT_SNAPSHOT_INTERVAL = 10_000
STOP_GRACE = 0.5
"""Seconds that calls under way get when the manager stops; streams never end by themselves."""


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
    """One manager. `start` it, watch `failure`, `stop` it."""

    def __init__(self, config: ManagerConfig) -> None:
        self._config = config
        self._credentials = config.credentials
        self._hub = WatchHub()
        self.store = Store()
        self._disk = DirectoryDisk(config.directory)
        self._wal, self._solo = self._open_log()
        self._proposer = LogProposer(self._solo, config.clock)
        self._dispatcher = DispatcherService(
            store=self.store,
            hub=self._hub,
            proposer=self._proposer,
            clock=config.clock,
            monotonic=config.monotonic,
            ids=new_id,
            chance=secrets.SystemRandom(),
        )
        self._logs = LogsService(
            store=self.store, hub=self._hub, monotonic=config.monotonic, ids=new_id
        )
        self._listeners: list[Listener] = []
        self._leader = Leader(
            store=self.store,
            hub=self._hub,
            proposer=self._proposer,
            dispatcher=self._dispatcher,
            ids=new_id,
            clock=config.clock,
        )
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done with what ended this manager against its will."""

    def replace_credentials(self, credentials: Credentials) -> None:
        """New connections see the new certificate; present ones go on."""
        self._credentials = credentials

    async def start(self, first: FirstObjects | None = None) -> None:
        """Listens and leads; `first` makes a new cluster. On failure nothing is left running.

        UNAVAILABLE if a port is taken, INTERNAL if the log of an existing cluster is gone.
        """
        try:
            if first is None and self.store.get(objects_pb2.Node, self._config.node_id) is None:
                raise _log_is_gone(self._config.directory)
            self._spawn(self._solo.run())
            self._add_control_server()
            self._add_identity_server()
            if first is not None:
                await propose_one(self._proposer, first.batch())
            await self._announce()
            for listener in self._listeners:
                await listener.start()
        except BaseException:
            await self.stop()
            raise
        self._spawn(self._leader.run())

    def complaint(self) -> str:
        """What is wrong with this manager, for the health service; empty if nothing is."""
        if self.failure.done():
            return f"this manager cannot go on: {self.failure.result()}"
        return self._leader.complaint()

    async def certify(self, present: Credentials) -> Credentials:
        """A new key and certificate for this very node, which may have been away too long to ask.

        Only for the node itself: no proof is asked for.
        """
        key = new_key()
        issuer = Issuer(self.store, self._proposer, self._config.clock)
        issued = await issuer.issue(self._config.node_id, make_csr(key))
        return Credentials(key, issued.certificate_pem, present.ca_pem)

    async def stop(self) -> None:
        """Stops serving and leading, and gives the folder up. All that was answered is durable."""
        if self._stopped:
            return
        self._stopped = True
        self._logs.end()
        await asyncio.gather(*(each.stop(STOP_GRACE) for each in self._listeners))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            self._wal.close()
        except OSError as error:
            logger.error("the log was not closed in order, the next start looks it over: %s", error)
        finally:
            self._disk.release()

    def add_operator_services(self, server: Any) -> None:  # noqa: ANN401 - a server or a collector
        """Adds what the local socket offers to operators of this host."""
        affairs = ClusterAffairs(self.store, self._proposer, ids=new_id, clock=self._config.clock)
        services = Services(self.store, self._proposer, new_id)
        control_pb2_grpc.add_ControlServicer_to_server(
            ControlService(self.store, self._hub, services, affairs), server
        )
        logs_pb2_grpc.add_LogsServicer_to_server(self._logs, server)

    def _open_log(self) -> tuple[Wal, Solo]:
        cluster_id, node_id = self._config.cluster_id, self._config.node_id
        try:
            keys = FileKeys(self._config.directory.with_suffix(".key"))
            wal, recovered = Wal.open(self._disk, cluster_id=cluster_id, node_id=node_id, keys=keys)
            solo = Solo(
                wal,
                SnapshotStore(self._disk, cluster_id=cluster_id, node_id=node_id, keys=keys),
                StoreMachine(self.store, self._hub),
                snapshot_interval=self._snapshot_interval,
            )
            solo.recover(recovered)
        except BaseException:
            self._disk.release()  # or a second try in this process would find it locked
            raise
        return wal, solo

    def _snapshot_interval(self) -> int:
        for cluster in self.store.all(objects_pb2.Cluster):
            return cluster.spec.snapshot_interval or DEFAULT_SNAPSHOT_INTERVAL
        return DEFAULT_SNAPSHOT_INTERVAL

    def _add_control_server(self) -> None:
        members = Members(self.store)
        server = grpc.aio.server(
            interceptors=[
                ErrorInterceptor(),
                Authorizer(ROLES, members.is_member, role_of=members.role_of),
            ],
            options=SERVER_OPTIONS,
        )
        self._listeners.append(Listener(server))
        self.add_operator_services(server)
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(self._dispatcher, server)
        logs_pb2_grpc.add_LogBrokerServicer_to_server(LogBrokerService(self._logs), server)
        ca_pb2_grpc.add_CaRenewalServicer_to_server(
            CaRenewalService(self.store, self._proposer, wall=self._config.clock), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(
            HealthService({"manager": self.complaint}), server
        )
        _listen(
            server,
            self._config.listen_address,
            node_server_credentials(lambda: self._credentials),
        )

    def _add_identity_server(self) -> None:
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=CA_SERVER_OPTIONS)
        self._listeners.append(Listener(server))
        ca_pb2_grpc.add_CaServicer_to_server(
            CaService(
                self.store,
                self._proposer,
                wall=self._config.clock,
                monotonic=self._config.monotonic,
                new_id=new_id,
                joinable=(types_pb2.NODE_ROLE_WORKER,),
            ),
            server,
        )
        _listen(
            server,
            identity_address(self._config.listen_address),
            ca_server_credentials(lambda: self._credentials),
        )

    async def _announce(self) -> None:
        """Writes into the own node where this manager is reached, and that it leads."""
        node = self.store.get(objects_pb2.Node, self._config.node_id)
        status = objects_pb2.ManagerStatus(
            address=self._config.advertise_address, leader=True, reachable=True
        )
        if node is None or node.manager == status:
            return
        changed = copy(node)
        changed.manager.CopyFrom(status)
        await propose_one(self._proposer, batch(update(changed)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._stopped:
            return
        error = task.exception() or RuntimeError("a duty of this manager ended by itself")
        while isinstance(error, BaseExceptionGroup):  # the first that failed took the others along
            error = error.exceptions[0]
        if not self.failure.done():
            known = isinstance(error, SwarmError)
            logger.critical(
                "this manager cannot go on: %s", error, exc_info=None if known else error
            )
            self.failure.set_result(error)


def _listen(server: grpc.aio.Server, address: str, secured: grpc.ServerCredentials) -> None:
    try:
        server.add_secure_port(join_address(*split_address(address)), secured)
    except RuntimeError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot listen on {address}",
            why="the port is in use, or the address is not of this host",
            remedy="free the port, or choose another with --listen-addr",
        ) from error


def _log_is_gone(directory: Path) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        f"the log in {directory} does not hold this manager's swarm",
        why="it was emptied or replaced, or an old copy was restored",
        remedy=f"restore it from a backup, or remove {directory.parent} and make a new swarm",
    )
