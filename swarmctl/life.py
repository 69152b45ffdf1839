"""A host's life as a member of a swarm: the agent, and on a manager the manager beside it.

Starts and stops them, follows the role that the swarm gives the node, and says where cluster calls
from the local socket go. Which life a host has is the affair of swarmctl/lives.py.
"""

import asyncio
import logging
import secrets
from dataclasses import replace

from api.errors import Code, SwarmError
from api.identity import Credentials, Identity
from api.v1 import dispatcher_pb2, host_pb2, objects_pb2
from hostkit.clock import wall
from hostkit.lasting import LastingTasks
from manager.ca.bootstrap import FirstObjects
from manager.ca.members import Members
from manager.restoring import Restored
from manager.server import Manager
from swarmctl import safe as node_safe
from swarmctl.certificate import CertificateKeeper
from swarmctl.host_parts import HostParts
from swarmctl.managership import Managership
from swarmctl.membership import Membership
from swarmctl.membership_words import missing, swarm_info
from swarmctl.relay import Relay
from swarmctl.safe import NodeSafe
from swarmctl.wished_role import wished_role
from worker.agent import Agent
from worker.backoff import Backoff
from worker.storage import AGENT_FILE, Storage

logger = logging.getLogger(__name__)

ROLE_FIRST = 0.5
ROLE_LONGEST = 30.0
"""Seconds between tries to take over a role."""


class Life:
    """Membership in one swarm, while the daemon runs."""

    def __init__(self, membership: Membership, safe: NodeSafe, parts: HostParts) -> None:
        self.membership = membership
        self._parts = parts
        self._chance = secrets.SystemRandom()
        self._tasks = LastingTasks(self._ended)
        self.manager: Manager | None = None
        """While this node is a manager."""
        self._former: Manager | None = None  # of a node that was demoted; it stops, or has stopped
        self._storage: Storage | None = None
        self._agent: Agent | None = None
        self._certificate = CertificateKeeper(
            safe,
            addresses=self._addresses,
            others=self._other_managers,
            own=self._own_certificate,
            changed=self._certificate_changed,
            is_shut_out=lambda: self._trouble() is not None,
            chance=self._chance,
        )
        self._managership = Managership(parts.memberships, parts.ask_registry)
        self._relay = Relay(self._addresses, self._certificate.connect)
        self._in_touch = False
        self._told: objects_pb2.Node | None = None
        self._role_told = asyncio.Event()

    async def prepare(
        self, first: FirstObjects | Restored | None, *, joining: bool = False
    ) -> None:
        """Does all that may fail: starts a manager, opens the agent's memory. No task runs yet.

        `first` makes a new cluster, or brings one back; `joining`: a manager takes its seat in the
        group. After a failure call `stop`.
        """
        self._agent = await self._make_agent()
        # Last: once it has a seat, others count on it.
        if self.membership.manager:
            await self._start_manager(first, joining=joining)
        else:
            await self._forget_manager()

    def begin(self) -> None:
        """Begins to run tasks and to serve calls; `prepare` has been called."""
        assert self._agent is not None  # noqa: S101 - made by prepare
        self._tasks.start(self._agent.run())
        self._tasks.start(self._certificate.run())
        self._tasks.start(self._follow_role())
        self._route_calls()

    def refound(self) -> None:
        """Makes the log that of a new group of this manager alone, once it is stopped. Blocks.

        Errors as of manager.refounding; a new life then goes on, also after a failure.
        """
        self._managership.refound(self.membership, self.safe)

    @property
    def safe(self) -> NodeSafe:
        """The secrets of this membership."""
        return self._certificate.safe

    def roots(self) -> bytes:
        """The roots (PEM) of the swarm."""
        return self._certificate.credentials.ca_pem

    def is_operator(self, identity: Identity) -> bool:
        """Whether the swarm knows this operator; only a manager can tell."""
        return self.manager is not None and Members(self.manager.store).is_member(identity)

    async def leave(self, *, force: bool) -> None:
        """Lets the swarm know, as far as it must: a manager gives up its seat.

        REFUSED if too few managers would be left to agree, unless `force`.
        """
        if self.manager is None:
            return
        try:
            await self.manager.leave(force=force)
        except SwarmError as error:
            if error.code is not Code.REFUSED:
                raise
            remedy = f"{error.remedy}; or leave with --force, if the swarm may be lost"
            raise SwarmError(error.code, error.what, why=error.why, remedy=remedy) from error

    async def stop(self) -> None:
        """Stops everything, also after a failure; containers live on. May be called again."""
        self._tasks.may_end()
        self._parts.switch.pause()  # whether another life follows, who stops this one knows
        if self._agent is not None:
            await self._agent.stop()
        await self._tasks.stop()
        for manager in filter(None, (self.manager, self._former)):
            await manager.stop()
        storage, self._storage = self._storage, None
        if storage is not None:
            await storage.close()
        await self._relay.close()

    def info(self) -> host_pb2.SwarmInfo:
        """What `system info` tells of the membership."""
        return swarm_info(
            self.membership,
            self._certificate.credentials.identity,
            self._addresses(),
            in_touch=self._in_touch,
            trouble=self._trouble(),
        )

    def complaint(self) -> str:
        """What is wrong, for the health service; empty if nothing is."""
        own = missing(in_touch=self._in_touch, trouble=self._trouble())
        wrong = "" if self.manager is None else self.manager.complaint()
        return "; ".join(filter(None, (own, wrong)))

    async def _start_manager(self, first: FirstObjects | Restored | None, *, joining: bool) -> None:
        membership, safe = self.membership, self._certificate.safe
        if isinstance(first, Restored):
            self.manager = await self._managership.restore(membership, safe, first)
        elif first is not None:
            self.manager = await self._managership.found(membership, safe, first)
        elif joining:
            self.manager = await self._managership.join(
                membership, safe, membership.managers, self._certificate.connect
            )
        else:
            self.manager = await self._managership.resume(membership, safe)
        self._watch(self.manager)

    def _watch(self, manager: Manager) -> None:
        # From here on: what fails before is raised, and ends the attempt, not the daemon.
        manager.failure.add_done_callback(lambda failure: self._parts.failed(failure.result()))
        manager.node.subscribe(self._role_told.set)  # it may lose its seat

    async def _make_agent(self) -> Agent:
        self._storage = await Storage.open(self._parts.state_dir / AGENT_FILE)
        return Agent(
            node_id=self.membership.node_id,
            executor=self._parts.executor,
            storage=self._storage,
            managers=[
                dispatcher_pb2.ManagerAddress(address=address, weight=1)
                for address in self.membership.managers
            ],
            connect=self._certificate.connect,
            wall=wall,
            chance=self._chance,
            on_session=self._heard,
            data_path=self.membership.data_path_address,
            networks=self._parts.networks,
            volumes=self._parts.volumes,
            attachments=self._parts.attachments,
        )

    def _heard(self, message: dispatcher_pb2.SessionMessage) -> None:
        self._in_touch = True
        self._told = message.node
        self._role_told.set()
        self._certificate.told(message.root_ca_pem)
        managers = tuple(each.address for each in message.managers)
        if managers and managers != self.membership.managers:
            self._keep(replace(self.membership, managers=managers))

    def _keep(self, membership: Membership) -> None:
        self.membership = membership
        try:
            self._parts.memberships.save(membership)
        except OSError as error:
            logger.warning("the new list of managers is not kept: %s", error)

    async def _follow_role(self) -> None:
        """Becomes a manager or a worker when the swarm says so, and tries until it is."""
        backoff = Backoff(self._chance, first=ROLE_FIRST, longest=ROLE_LONGEST)
        while True:
            await self._role_told.wait()
            self._role_told.clear()
            wished = wished_role(
                self._told, manager=self.membership.manager, removed=self._is_removed()
            )
            if wished is None:
                continue
            try:
                await (self._become_manager() if wished == "manager" else self._become_worker())
                backoff.reset()
            except (OSError, SwarmError) as error:
                logger.warning("this node is not yet the %s that it shall be: %s", wished, error)
                self._role_told.set()
                await asyncio.sleep(backoff.next())

    async def _become_manager(self) -> None:
        # Once it has a seat it keeps it, though its place cannot be written down yet: it may have a
        # vote by now, and too few of the others agree without it.
        if self.manager is None:
            await self._join_managers()
        if self.manager is not None:
            self._take_place(manager=True)
            logger.info("this node is a manager from now on")

    async def _join_managers(self) -> None:
        await self._certificate.renew()
        credentials = self._certificate.credentials
        if credentials.identity.role != "manager":
            return  # it was demoted again meanwhile
        membership = replace(self.membership, manager=True)
        worker_safe = self._certificate.safe
        safe = await asyncio.to_thread(
            node_safe.made, self._parts.memberships, credentials, manager=True
        )
        self._certificate.safe = safe  # from here on a lock may close, and covers both
        try:
            manager = await self._managership.join(
                membership, safe, self._addresses(), self._certificate.connect
            )
        except BaseException:
            self._certificate.safe = worker_safe
            await asyncio.to_thread(worker_safe.save, credentials)
            self._managership.forget()
            raise
        self.manager = manager
        self._watch(manager)

    async def _become_worker(self) -> None:
        await self._certificate.renew()
        credentials = self._certificate.credentials
        if credentials.identity.role != "worker" and not self._is_removed():
            return
        if self.manager is not None:
            self._former, self.manager = self.manager, None
        self._route_calls()
        if self._former is not None:
            await (
                self._former.stop()
            )  # before its keys go: a lock that closes now would shut us out
        self._certificate.safe = await asyncio.to_thread(
            node_safe.made, self._parts.memberships, credentials, manager=False
        )
        self._take_place(manager=False)
        await self._forget_manager()
        self._role_told.set()  # if it was promoted again meanwhile, it takes another seat
        logger.info("this node is a worker from now on")

    async def _forget_manager(self) -> None:
        """What is left of it holds the swarm's secrets. The next life of a worker tries again."""
        try:
            await asyncio.to_thread(self._managership.forget)
        except OSError as error:
            logger.error("what this node had as a manager is not all removed: %s", error)

    def _is_removed(self) -> bool:
        """Whether the manager here has lost its seat, and knows it; or was stopped for that, and it
        is not written down yet that this node is a worker.
        """
        if self.manager is None:
            return self.membership.manager
        return self.manager.node.removed

    def _take_place(self, *, manager: bool) -> None:
        membership = replace(self.membership, manager=manager)
        self._parts.memberships.save(membership)
        self.membership = membership
        self._route_calls()

    def _route_calls(self) -> None:
        if self.manager is None:
            self._parts.switch.pass_on(self._relay)
        else:
            self._parts.switch.serve_locally(self.manager.operator_services())

    def _addresses(self) -> list[str]:
        known = [] if self._agent is None else [each.address for each in self._agent.managers()]
        return known or list(self.membership.managers)

    def _other_managers(self) -> list[str]:
        own = self.membership.advertise_address if self.membership.manager else ""
        return [address for address in self._addresses() if address != own]

    def _trouble(self) -> SwarmError | None:
        return None if self._agent is None else self._agent.trouble

    async def _own_certificate(self, present: Credentials) -> Credentials | None:
        return None if self.manager is None else await self.manager.certify(present)

    def _certificate_changed(self, credentials: Credentials, is_renewed: bool) -> None:
        if self.manager is not None:
            self.manager.replace_credentials(credentials)
        if self._agent is not None and is_renewed:
            self._agent.reconnect()
        self._relay.renew()

    def _ended(self, error: BaseException) -> None:
        known = isinstance(error, SwarmError)
        logger.critical("a part of this node failed: %s", error, exc_info=None if known else error)
        self._parts.failed(error)
