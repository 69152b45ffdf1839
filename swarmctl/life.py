"""A host's life as a member of a swarm: the agent, and on a manager the manager beside it.

Starts and stops them, keeps the certificate fresh, and says where cluster calls from the local
socket go. Which life a host has, and when one begins and ends, is swarmctl/node.py's.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from api.channel import node_channel
from api.enroll import reenroll_expired
from api.errors import Code, SwarmError
from api.identity import Credentials
from api.times import timestamp
from api.v1 import dispatcher_pb2, host_pb2, types_pb2
from hostkit.clock import monotonic, wall
from manager.ca.bootstrap import FirstObjects
from manager.server import Manager, ManagerConfig
from swarmctl.departure import AGENT_FILE
from swarmctl.membership import Membership, MembershipStore
from swarmctl.relay import Relay
from swarmctl.switch import Collector, Switch
from worker.agent import Agent
from worker.alongside import alongside
from worker.backoff import Backoff
from worker.executor import Executor
from worker.renewal import Renewal
from worker.storage import Storage

logger = logging.getLogger(__name__)

CLOCK_CHECK = 300.0
"""Seconds after which the wall clock is looked at again: it may have been set, the host suspended.
"""
REENROL_FIRST = 1.0
REENROL_LONGEST = 60.0
"""Seconds between tries to replace a certificate that has expired."""


class Life:
    """Membership in one swarm, while the daemon runs. `failed` hears what ends it from inside."""

    def __init__(
        self,
        membership: Membership,
        credentials: Credentials,
        *,
        executor: Executor,
        memberships: MembershipStore,
        state_dir: Path,
        switch: Switch,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.membership = membership
        self._credentials = credentials
        self._executor = executor
        self._memberships = memberships
        self._state_dir = state_dir
        self._switch = switch
        self._failed = failed
        self._chance = secrets.SystemRandom()
        self._tasks: list[asyncio.Task[None]] = []
        self._manager: Manager | None = None
        self._storage: Storage | None = None
        self._agent: Agent | None = None
        self._relay = Relay(self._addresses, self._connect)
        self._in_touch = False
        self._renewals = 0

    async def prepare(self, first: FirstObjects | None) -> None:
        """Does all that may fail: starts a manager, opens the agent's memory. No task runs yet.

        `first` makes a new cluster. After a failure call `stop`.
        """
        if self.membership.manager:
            await self._start_manager(first)
        self._agent = await self._make_agent()

    def begin(self) -> None:
        """Begins to run tasks and to serve calls; `prepare` has been called."""
        assert self._agent is not None  # noqa: S101 - made by prepare
        self._spawn(self._agent.run())
        self._spawn(self._keep_certificate())
        self._route_calls()

    async def stop(self) -> None:
        """Stops everything, also after a failure; containers live on. May be called again."""
        self._switch.refuse()
        if self._agent is not None:
            await self._agent.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._manager is not None:
            await self._manager.stop()
        storage, self._storage = self._storage, None
        if storage is not None:
            await storage.close()
        await self._relay.close()

    def info(self) -> host_pb2.SwarmInfo:
        """What `system info` tells of the membership."""
        identity = self._credentials.identity
        state = host_pb2.SwarmInfo
        return host_pb2.SwarmInfo(
            state=state.STATE_ACTIVE if self._in_touch else state.STATE_PENDING,
            node_id=self.membership.node_id,
            cluster_id=self.membership.cluster_id,
            role=types_pb2.NODE_ROLE_MANAGER
            if self.membership.manager
            else types_pb2.NODE_ROLE_WORKER,
            managers=self._addresses(),
            certificate_expires_at=timestamp(identity.not_after),
        )

    def complaint(self) -> str:
        """What is wrong, for the health service; empty if nothing is."""
        missing = "" if self._in_touch else "no manager has been reached yet"
        wrong = "" if self._manager is None else self._manager.complaint()
        return "; ".join(filter(None, (missing, wrong)))

    async def _start_manager(self, first: FirstObjects | None) -> None:
        manager = self._manager = Manager(
            ManagerConfig(
                directory=self._memberships.directory / "manager",
                node_id=self.membership.node_id,
                cluster_id=self.membership.cluster_id,
                listen_address=self.membership.listen_address,
                advertise_address=self.membership.advertise_address,
                credentials=self._credentials,
                clock=wall,
                monotonic=monotonic,
            )
        )
        await manager.start(first)
        # From here on: what fails before is raised, and ends the attempt, not the daemon.
        manager.failure.add_done_callback(lambda failure: self._failed(failure.result()))
        if self._is_expired():
            await self._renewed(await manager.certify(self._credentials))

    async def _make_agent(self) -> Agent:
        self._storage = await Storage.open(self._state_dir / AGENT_FILE)
        return Agent(
            node_id=self.membership.node_id,
            executor=self._executor,
            storage=self._storage,
            managers=[
                dispatcher_pb2.ManagerAddress(address=address, weight=1)
                for address in self.membership.managers
            ],
            connect=self._connect,
            wall=wall,
            chance=self._chance,
            on_session=self._heard,
        )

    def _heard(self, message: dispatcher_pb2.SessionMessage) -> None:
        self._in_touch = True
        managers = tuple(each.address for each in message.managers)
        if managers and managers != self.membership.managers:
            self.membership = replace(self.membership, managers=managers)
            try:
                self._memberships.save(self.membership)
            except OSError as error:
                logger.warning("the new list of managers is not kept: %s", error)

    def _route_calls(self) -> None:
        if self._manager is None:
            self._switch.pass_on(self._relay)
            return
        collector = Collector()
        self._manager.add_operator_services(collector)
        self._switch.serve_locally(collector.handlers)

    def _connect(self, address: str) -> grpc.aio.Channel:
        return node_channel(address, self._credentials)

    def _addresses(self) -> list[str]:
        known = [] if self._agent is None else [each.address for each in self._agent.managers()]
        return known or list(self.membership.managers)

    async def _keep_certificate(self) -> None:
        """Renews in time; a certificate that expired all the same, as its managers or this host
        were away for weeks, is replaced at the identity port, which asks for none.
        """
        while True:
            if self._is_expired():
                await self._replace_expired()
            renewal = Renewal(
                credentials=lambda: self._credentials,
                connect=self._connect_in_turn,
                renewed=self._renewed,
                chance=self._chance,
                wall=wall,
            )
            await alongside(renewal.run(), self._until_expired())

    async def _replace_expired(self) -> None:
        backoff = Backoff(self._chance, first=REENROL_FIRST, longest=REENROL_LONGEST)
        while True:
            try:
                await self._renewed(await self._reenrolled())
            except SwarmError as error:
                logger.warning("the expired certificate is not replaced yet: %s", error)
            else:
                logger.info("the expired certificate was replaced")
                return
            await asyncio.sleep(backoff.next())

    async def _reenrolled(self) -> Credentials:
        if self._manager is not None:
            return await self._manager.certify(self._credentials)
        return (await reenroll_expired(self._addresses(), self._credentials)).credentials

    async def _until_expired(self) -> None:
        while not self._is_expired():
            left = self._credentials.identity.not_after - wall()
            await asyncio.sleep(max(0.0, min(left, CLOCK_CHECK)))

    def _connect_in_turn(self) -> grpc.aio.Channel:
        """To another manager at each try: one that is away must not keep a certificate from
        being renewed.
        """
        addresses = self._addresses()
        self._renewals += 1
        return self._connect(addresses[self._renewals % len(addresses)])

    async def _renewed(self, credentials: Credentials) -> None:
        try:
            await asyncio.to_thread(self._memberships.save_credentials, credentials)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the new certificate cannot be written",
                why=str(error),
                remedy="look after the disk and its free space",
            ) from error
        self._credentials = credentials
        if self._manager is not None:
            self._manager.replace_credentials(credentials)
        if self._agent is not None:
            self._agent.reconnect()
        self._relay.renew()

    def _is_expired(self) -> bool:
        return self._credentials.identity.not_after <= wall()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            known = isinstance(error, SwarmError)
            logger.critical(
                "a part of this node failed: %s", error, exc_info=None if known else error
            )
            self._failed(error)
