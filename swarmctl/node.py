"""A host of a swarm: what its daemon does from start to stop. The composition root: the only place
that knows manager, worker and runtime at once.

A host has one of three lives: in no swarm only the local socket answers; in a worker an agent runs
beside it; in a manager log, store and servers do too, unless its keys are locked and it waits for
`unlock`. `init`, `restore`, `join`, `unlock` and `leave` lead from one to the other while the
daemon runs, one at a time, and go on to their end though their caller leaves (as `docker swarm
join` does). A life is on the disk before the call that began it is answered.
"""

import asyncio
import logging
from importlib.metadata import version

import grpc

from api import validate
from api.channel import SERVER_OPTIONS
from api.errors import Code, SwarmError
from api.health import HealthService
from api.identity import Credentials
from api.listener import Listener
from api.serving import ErrorInterceptor
from api.unlock_key import parse_unlock_key
from api.v1 import health_pb2_grpc, host_pb2, host_pb2_grpc, objects_pb2, types_pb2
from hostkit.clock import monotonic, wall
from hostkit.loop_lag import LoopLag
from manager.ca.authorize import Authorizer
from manager.ca.bootstrap import FirstObjects
from manager.ca.roles import ROLES
from manager.raft.durable.key_file import LockedError
from manager.restoring import Restored
from runtime.conmon_driver import ConmonDriver
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from swarmctl import safe
from swarmctl.addresses import DEFAULT_LISTEN, advertised
from swarmctl.changes import Changes
from swarmctl.departure import depart, forget_tasks
from swarmctl.founding import found_swarm, restore_swarm
from swarmctl.host_service import HostService
from swarmctl.joining import check_join, join_swarm
from swarmctl.life import Life
from swarmctl.local_socket import add_socket
from swarmctl.locked import LockedLife
from swarmctl.membership import Membership, MembershipStore
from swarmctl.recovery import Recovery
from swarmctl.settings import Settings
from swarmctl.switch import Switch
from swarmctl.threads import to_its_end
from swarmctl.tidying import tidy
from worker.container import ContainerExecutor

logger = logging.getLogger(__name__)

STOP_GRACE = 0.5
"""Seconds that calls on the socket get when the daemon stops."""


class Node:
    """The node of this host. Its folders are its alone: swarmctl/folders.py holds them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._memberships = MembershipStore(settings.state_dir)
        self._images = ImageStore(
            settings.state_dir / "images",
            options=RegistryOptions(
                insecure=settings.insecure_registries, ca_files=settings.registry_cas
            ),
            clock=wall,
        )
        self._driver = ConmonDriver(
            state_dir=settings.state_dir / "containers",
            run_dir=settings.run_dir / "c",
            cgroup_parent=settings.cgroup_parent,
            clock=wall,
        )
        self._executor = ContainerExecutor(
            self._driver, self._images, version=version("swarmctl"), labels=settings.labels
        )
        self._switch = Switch()
        self._life: Life | LockedLife | None = None
        self._recovery = Recovery(
            self._memberships, new_life=self._new_life, begun=self._goes_on, failed=self._fail
        )
        self._changing = asyncio.Lock()
        self._changes = Changes()
        self._listener: Listener | None = None
        self._lag = LoopLag(monotonic)
        self._beside: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[SwarmError] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Adopts the containers that run, goes on with the membership, serves on the socket.

        After a failure, or where it was cancelled, call `stop`.
        """
        await self._driver.recover()
        if self._memberships.is_leaving():
            logger.warning(
                "the daemon was stopped while this node left its swarm: it does the rest"
            )
            await depart(self._executor, self._memberships, self.settings.state_dir)
        self._life = self._found()
        if self._life is not None:
            await self._life.prepare(None)
        # Bound when nothing can fail any more, and no thread runs that the umask would concern.
        listener = self._bind()
        if self._life is not None:
            self._life.begin()
        await listener.start()
        self._beside = [
            asyncio.create_task(tidy(self._images)),
            asyncio.create_task(self._lag.run()),
        ]
        logger.info("swarmd listens on %s", self.settings.socket)

    async def stop(self) -> None:
        """Stops serving, and what was started. Containers live on. May be called at any time."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._listener is not None:
            await self._listener.stop(STOP_GRACE)
        await self._changes.end()
        if self._life is not None:
            await self._life.stop()
        await self._driver.close()

    async def failure(self) -> SwarmError:
        """Returns what makes it pointless to go on, once something does."""
        return await asyncio.shield(self._failed)

    async def init(self, request: host_pb2.InitSwarmRequest) -> host_pb2.InitSwarmResponse:
        """Makes a new swarm with this host as its first manager; or a manager goes on alone."""
        if request.force_new_cluster:
            return await self._changes.run("swarm init --force-new-cluster", self._force(request))
        return await self._changes.run("swarm init", self._init(request))

    async def restore(
        self, head: host_pb2.RestoreHead, sealed: bytes
    ) -> host_pb2.InitSwarmResponse:
        """Makes this host the one manager of the swarm in a backup."""
        return await self._changes.run("swarm restore", self._restore(head, sealed))

    async def readdress(
        self, request: host_pb2.ReaddressSwarmRequest
    ) -> host_pb2.ReaddressSwarmResponse:
        """Gives this manager another address."""
        return await self._changes.run("swarm readdress", self._readdress(request))

    async def join(self, request: host_pb2.JoinSwarmRequest) -> host_pb2.JoinSwarmResponse:
        """Makes this host a node of the swarm that the token belongs to."""
        return await self._changes.run("swarm join", self._join(request))

    async def unlock(self, request: host_pb2.UnlockSwarmRequest) -> None:
        """Goes on with the life of a manager that was found locked."""
        await self._changes.run("swarm unlock", self._unlock(request))

    async def leave(self, *, force: bool) -> None:
        """Stops this host's tasks and forgets the swarm. A manager needs `force`."""
        await self._changes.run("swarm leave", self._leave(force=force))

    async def _init(self, request: host_pb2.InitSwarmRequest) -> host_pb2.InitSwarmResponse:
        async with self._changing:
            self._check_free()
            validate.cluster_spec(request.spec)
            validate.availability("availability", request.availability)
            address, listen = await _addresses(request)
            membership, credentials, first = found_swarm(request, address=address, listen=listen)
            token = first.cluster.root_ca.worker_token
            await self._enter(membership, credentials, first)
            return host_pb2.InitSwarmResponse(
                node_id=membership.node_id, worker_token=token, address=address
            )

    async def _join(self, request: host_pb2.JoinSwarmRequest) -> host_pb2.JoinSwarmResponse:
        async with self._changing:
            self._check_free()
            validate.availability("availability", request.availability)
            check_join(request)
            address, listen = await _addresses(request)
            place = await join_swarm(request, address=address, listen=listen)
            await self._enter(place.membership, place.credentials, None)
            role = types_pb2.NODE_ROLE_WORKER
            if place.membership.manager:
                role = types_pb2.NODE_ROLE_MANAGER
            return host_pb2.JoinSwarmResponse(node_id=place.membership.node_id, role=role)

    async def _force(self, request: host_pb2.InitSwarmRequest) -> host_pb2.InitSwarmResponse:
        async with self._changing:
            return await self._recovery.force(self._life, request)

    async def _readdress(
        self, request: host_pb2.ReaddressSwarmRequest
    ) -> host_pb2.ReaddressSwarmResponse:
        async with self._changing:
            return await self._recovery.readdress(self._life, request)

    async def _restore(
        self, head: host_pb2.RestoreHead, sealed: bytes
    ) -> host_pb2.InitSwarmResponse:
        async with self._changing:
            self._check_free()
            address, listen = await _addresses(head)
            membership, credentials, start = await to_its_end(
                lambda: restore_swarm(sealed, head.key, address=address, listen=listen)
            )
            await self._enter(membership, credentials, start)
            return host_pb2.InitSwarmResponse(
                node_id=membership.node_id,
                worker_token=start.cluster.root_ca.worker_token,
                address=address,
            )

    async def _unlock(self, request: host_pb2.UnlockSwarmRequest) -> None:
        async with self._changing:
            waiting = self._life
            if not isinstance(waiting, LockedLife):
                raise SwarmError(Code.REFUSED, "this node is not locked")
            kept = safe.found(self._memberships, waiting.membership, parse_unlock_key(request.key))
            life = self._new_life(waiting.membership, kept)
            try:
                await life.prepare(None)
            except BaseException as error:
                await life.stop()
                waiting.begin()
                if isinstance(error, OSError):
                    raise self._disk_failed("this manager cannot go on", error) from error
                raise
            life.begin()
            self._life = life

    async def _leave(self, *, force: bool) -> None:
        async with self._changing:
            if self._life is None:
                raise SwarmError(Code.REFUSED, "this node is not part of a swarm")
            await self._life.leave(force=force)
            await self._life.stop()
            self._memberships.resign()
            self._life = None
            await depart(self._executor, self._memberships, self.settings.state_dir)

    async def describe(self) -> objects_pb2.NodeDescription:
        """What this host is and has."""
        return await self._executor.describe()

    def loop_lag(self) -> float:
        """The longest, in seconds, that a step has held this daemon up within the last minute."""
        return self._lag.worst()

    def swarm_info(self) -> host_pb2.SwarmInfo:
        """This host's place in its swarm, if it has one."""
        return host_pb2.SwarmInfo() if self._life is None else self._life.info()

    def _found(self) -> Life | LockedLife | None:
        """The life that the disk tells of."""
        membership = self._memberships.read()
        if membership is None:
            return None
        try:
            kept = safe.found(self._memberships, membership)
        except LockedError:
            return LockedLife(membership, self._switch)
        return self._new_life(membership, kept)

    def _check_free(self) -> None:
        if self._life is not None:
            raise SwarmError(
                Code.REFUSED,
                "this node is already part of a swarm",
                remedy="leave it first: swarmctl swarm leave",
            )

    async def _enter(
        self,
        membership: Membership,
        credentials: Credentials,
        first: FirstObjects | Restored | None,
    ) -> None:
        """Prepares a life, writes it down, begins it: a crash before leaves a node in no swarm."""
        kek = None if first is None else first.cluster.unlock_key or None
        life: Life | None = None
        try:
            self._memberships.clear()
            forget_tasks(self.settings.state_dir)
            kept = safe.made(self._memberships, credentials, manager=membership.manager, kek=kek)
            life = self._new_life(membership, kept)
            await life.prepare(first, joining=first is None)
            self._memberships.save(membership)
        except OSError as error:
            await self._undo(life)
            what = "this node's place in the swarm cannot be written down"
            raise self._disk_failed(what, error) from error
        except BaseException:
            await self._undo(life)
            raise
        life.begin()
        self._life = life

    def _goes_on(self, life: Life) -> None:
        self._life = life

    def _disk_failed(self, what: str, error: OSError) -> SwarmError:
        return SwarmError(
            Code.UNAVAILABLE,
            what,
            why=str(error),
            remedy=f"look after the disk and its free space below {self.settings.state_dir}",
        )

    async def _undo(self, life: Life | None) -> None:
        if life is not None:
            await life.stop()
        self._memberships.clear()

    def _new_life(self, membership: Membership, kept: safe.NodeSafe) -> Life:
        return Life(
            membership,
            kept,
            executor=self._executor,
            memberships=self._memberships,
            state_dir=self.settings.state_dir,
            switch=self._switch,
            failed=self._fail,
        )

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            known = error if isinstance(error, SwarmError) else None
            self._failed.set_result(
                known or SwarmError(Code.INTERNAL, "the node cannot go on", why=repr(error))
            )

    def _bind(self) -> Listener:
        server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), Authorizer(ROLES, lambda _: False)],
            options=SERVER_OPTIONS,
        )
        listener = self._listener = Listener(server)
        server.add_generic_rpc_handlers((self._switch,))
        host_pb2_grpc.add_HostServicer_to_server(
            HostService(self, self._images, self._driver), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(
            HealthService({"daemon": lambda: "", "swarm": self._complaint}), server
        )
        add_socket(server, self.settings.socket)
        return listener

    def _complaint(self) -> str:
        return "" if self._life is None else self._life.complaint()


async def _addresses(
    request: host_pb2.InitSwarmRequest | host_pb2.JoinSwarmRequest | host_pb2.RestoreHead,
) -> tuple[str, str]:
    """Where others reach this host, and where it listens: each host:port."""
    listen = request.listen_address or DEFAULT_LISTEN
    return await asyncio.to_thread(advertised, request.advertise_address, listen), listen
