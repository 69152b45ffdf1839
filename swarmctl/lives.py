"""The life of this host: which one it has, and how one leads to the other.

A host has one of three: in no swarm only the local socket answers; in a worker an agent runs beside
it; in a manager log, store and servers do too, unless its keys are locked and it waits for
`unlock`. `init`, `restore`, `join`, `unlock` and `leave` lead from one to the other while the
daemon runs, one at a time, and go on to their end though their caller leaves (as `docker swarm
join` does). A life is on the disk before the call that began it is answered.
"""

import asyncio
import contextlib
import logging

from api import validate
from api.errors import Code, SwarmError
from api.identity import Credentials, Identity
from api.unlock_key import parse_unlock_key
from api.v1 import host_pb2, types_pb2
from manager.ca.bootstrap import FirstObjects
from manager.raft.durable.key_file import LockedError
from manager.restoring import Restored
from swarmctl import safe
from swarmctl.addresses import DEFAULT_LISTEN, addresses, data_path, host_addresses
from swarmctl.changes import Changes
from swarmctl.departure import depart, forget_tasks
from swarmctl.founding import found_swarm, restore_swarm
from swarmctl.host_parts import HostParts
from swarmctl.joining import Joiner, check_join
from swarmctl.life import Life
from swarmctl.locked import LockedLife
from swarmctl.membership import Membership
from swarmctl.recovery import Recovery
from swarmctl.threads import to_its_end

logger = logging.getLogger(__name__)


class Lives:
    """Of one host."""

    def __init__(self, parts: HostParts) -> None:
        self._parts = parts
        self._memberships = parts.memberships
        self._life: Life | LockedLife | None = None
        self._recovery = Recovery(
            parts.memberships, new_life=self._new_life, begun=self._goes_on, failed=parts.failed
        )
        self._changing = asyncio.Lock()
        self._joiner = Joiner()
        self._changes = Changes()

    def is_member(self) -> bool:
        """Whether the disk tells of a swarm that this host is in."""
        return self._memberships.read() is not None

    async def prepare(self) -> None:
        """Does all that may fail of going on with what the disk tells. No task runs yet."""
        if self._memberships.is_leaving():
            logger.warning(
                "the daemon was stopped while this node left its swarm: it does the rest"
            )
            await self._depart()
        self._life = self._found()
        if self._life is not None:
            await self._life.prepare(None)

    def begin(self) -> None:
        """Goes on with it; `prepare` has been called."""
        if self._life is not None:
            self._life.begin()

    async def stop(self) -> None:
        """Breaks off what leads to another life, and stops the present one. At any time."""
        await self._changes.end()
        if self._life is not None:
            await self._life.stop()

    def info(self) -> host_pb2.SwarmInfo:
        """This host's place in its swarm, if it has one."""
        return host_pb2.SwarmInfo() if self._life is None else self._life.info()

    def complaint(self) -> str:
        """What is wrong, for the health service; empty if nothing is."""
        return "" if self._life is None else self._life.complaint()

    def roots(self) -> bytes:
        """The roots (PEM) of the swarm that this host is in, if it is in one."""
        return b"" if self._life is None else self._life.roots()

    def is_operator(self, identity: Identity) -> bool:
        """Whether the swarm that this host manages knows an operator."""
        return self._life is not None and self._life.is_operator(identity)

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
            data_path = await _data_path(request)
            membership, credentials, first = found_swarm(
                request, address=address, listen=listen, data_path=data_path
            )
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
            place = await self._joiner.join(
                request, address=address, listen=listen, data_path=await _data_path(request)
            )
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
            self._parts.switch.refuse()
            await self._depart()

    async def _depart(self) -> None:
        parts = self._parts
        await depart(parts.executor, parts.networks, parts.memberships, parts.state_dir)
        await parts.attachments.leave()

    def _found(self) -> Life | LockedLife | None:
        """The life that the disk tells of."""
        membership = self._memberships.read()
        if membership is None:
            return None
        try:
            kept = safe.found(self._memberships, membership)
        except LockedError:
            return LockedLife(membership, self._parts.switch)
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
            forget_tasks(self._parts.state_dir)
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
            remedy=f"look after the disk and its free space below {self._parts.state_dir}",
        )

    async def _undo(self, life: Life | None) -> None:
        if life is not None:
            # A seat that nobody sits in counts against its group, which may have no quorum then.
            with contextlib.suppress(SwarmError):
                await life.leave(force=True)
            await life.stop()
            self._parts.switch.refuse()
        self._memberships.clear()

    def _new_life(self, membership: Membership, kept: safe.NodeSafe) -> Life:
        return Life(membership, kept, self._parts)


async def _addresses(
    request: host_pb2.InitSwarmRequest | host_pb2.JoinSwarmRequest | host_pb2.RestoreHead,
) -> tuple[str, str]:
    """Where others reach this host, and where it listens: each host:port."""
    listen = request.listen_address or DEFAULT_LISTEN
    return await asyncio.to_thread(addresses, request.advertise_address, listen)


async def _data_path(request: host_pb2.InitSwarmRequest | host_pb2.JoinSwarmRequest) -> str:
    """Where this host's tunnels end, if that was said."""
    if not request.data_path_address:
        return ""
    own = await asyncio.to_thread(host_addresses)
    return data_path(request.data_path_address, own)
