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
from api.errors import SwarmError
from api.identity import Credentials
from api.times import timestamp
from api.v1 import dispatcher_pb2, host_pb2, objects_pb2, types_pb2
from hostkit.clock import monotonic, wall
from manager.ca.bootstrap import FirstObjects
from manager.server import Manager, ManagerConfig
from swarmctl.membership import Membership, MembershipStore
from swarmctl.switch import Collector, Switch
from worker.agent import Agent
from worker.backoff import Backoff
from worker.executor import Executor
from worker.renewal import Renewal
from worker.storage import Storage

logger = logging.getLogger(__name__)

AGENT_FILE = "agent.db"


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
        self._relay: grpc.aio.Channel | None = None
        self._in_touch = False

    async def start(self, first: FirstObjects | None) -> None:
        """Starts everything; on failure nothing is left running."""
        try:
            if self.membership.manager:
                self._manager = await self._start_manager(first)
            self._agent = await self._make_agent()
        except BaseException:
            await self.stop()
            raise
        self._spawn(self._agent.run())
        self._spawn(self._keep_certificate())
        self._route_calls()

    async def stop(self) -> None:
        """Stops everything; containers live on."""
        self._switch.refuse()
        if self._agent is not None:
            await self._agent.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._manager is not None:
            await self._manager.stop()
        if self._storage is not None:
            await self._storage.close()
        if self._relay is not None:
            await self._relay.close()

    async def leave(self) -> None:
        """Stops everything, the tasks of this host too, and deletes what the agent remembers."""
        tasks = {} if self._agent is None else dict(self._agent.tasks())
        await self.stop()
        # Containers whose removal was under way are no longer among the agent's tasks.
        for task_id in await self._executor.recover():
            tasks.setdefault(task_id, objects_pb2.Task(id=task_id))
        await asyncio.gather(*(self._end_task(task) for task in tasks.values()))
        for file in self._state_dir.glob(f"{AGENT_FILE}*"):
            file.unlink()

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
        return "" if self._in_touch else "no manager has been reached yet"

    async def _start_manager(self, first: FirstObjects | None) -> Manager:
        manager = Manager(
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
        manager.failure.add_done_callback(lambda failure: self._failed(failure.result()))
        await manager.start(first)
        if self._is_expired():
            await self._renewed(await manager.certify(self._credentials))
        return manager

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
            connect=lambda address: node_channel(address, self._credentials),
            wall=wall,
            chance=self._chance,
            on_session=self._heard,
        )

    def _heard(self, message: dispatcher_pb2.SessionMessage) -> None:
        self._in_touch = True
        managers = tuple(each.address for each in message.managers)
        if managers and managers != self.membership.managers:
            self.membership = replace(self.membership, managers=managers)
            self._memberships.save(self.membership)

    def _route_calls(self) -> None:
        if self._manager is None:
            self._switch.pass_on(self._relay_channel)
            return
        collector = Collector()
        self._manager.add_operator_services(collector)
        self._switch.serve_locally(collector.handlers)

    def _relay_channel(self) -> grpc.aio.Channel:
        if self._relay is None:
            self._relay = node_channel(self._addresses()[0], self._credentials)
        return self._relay

    def _addresses(self) -> list[str]:
        known = [] if self._agent is None else [each.address for each in self._agent.managers()]
        return known or list(self.membership.managers)

    async def _keep_certificate(self) -> None:
        backoff = Backoff(self._chance)
        while self._is_expired():
            try:
                fresh = await reenroll_expired(self._addresses(), self._credentials)
            except SwarmError as error:
                delay = backoff.next()
                logger.warning("the expired certificate is not replaced yet: %s", error)
                await asyncio.sleep(delay)
            else:
                await self._renewed(fresh.credentials)
        await Renewal(
            credentials=lambda: self._credentials,
            connect=lambda: node_channel(self._addresses()[0], self._credentials),
            renewed=self._renewed,
            chance=self._chance,
            wall=wall,
        ).run()

    async def _renewed(self, credentials: Credentials) -> None:
        self._memberships.save_credentials(credentials)
        self._credentials = credentials
        if self._manager is not None:
            self._manager.replace_credentials(credentials)
        if self._agent is not None:
            self._agent.reconnect()
        # The next call that is passed on makes a channel with the new certificate.
        old, self._relay = self._relay, None
        if old is not None:
            await old.close()

    def _is_expired(self) -> bool:
        return self._credentials.identity.not_after <= wall()

    async def _end_task(self, task: objects_pb2.Task) -> None:
        try:
            await self._executor.shutdown(task)
            await self._executor.remove(task)
        except SwarmError as error:
            logger.warning("task %s is not removed: %s", task.id, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("a part of this node failed", exc_info=error)
            self._failed(error)
