"""What an operator does with a manager in trouble, or one that has moved: the composition of it.

Both stop the life that goes on, change what is on the disk, and begin the life that is there then.
Containers go on meanwhile, as when the daemon is restarted. How a log is made anew is the affair of
manager/refounding.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from api.errors import Code, SwarmError, invalid
from api.v1 import host_pb2
from manager.raft.durable.key_file import LockedError
from manager.server import Manager
from swarmctl.addresses import addresses
from swarmctl.life import Life
from swarmctl.locked import LockedLife
from swarmctl.membership import Membership, MembershipStore
from swarmctl.safe import NodeSafe
from swarmctl.threads import to_its_end


class Recovery:
    """For one node. `new_life` makes a life; `begun` is told of one that goes on from now on.

    `failed` hears why none does, which ends the daemon: its next start tries again.
    """

    def __init__(
        self,
        memberships: MembershipStore,
        *,
        new_life: Callable[[Membership, NodeSafe], Life],
        begun: Callable[[Life], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._memberships = memberships
        self._new_life = new_life
        self._begun = begun
        self._failed = failed

    async def force(
        self, present: Life | LockedLife | None, request: host_pb2.InitSwarmRequest
    ) -> host_pb2.InitSwarmResponse:
        """`swarm init --force-new-cluster`: this manager goes on alone.

        INVALID for what else the request says; REFUSED if it is none, or its group has a quorum.
        """
        _check_force(request)
        life, manager = manager_of(present)
        await manager.check_forcible()
        await life.stop()
        try:
            await to_its_end(life.refound)
        except SwarmError:
            await self._begin(life.membership, life.safe)
            raise
        except OSError as error:
            await self._begin(life.membership, life.safe)
            raise _not_written("the new group", error) from error
        fresh, manager = manager_of(await self._begin(life.membership, life.safe))
        cluster = await manager.leads()
        return host_pb2.InitSwarmResponse(
            node_id=fresh.membership.node_id,
            worker_token=cluster.root_ca.worker_token,
            address=fresh.membership.advertise_address,
        )

    async def readdress(
        self, present: Life | LockedLife | None, request: host_pb2.ReaddressSwarmRequest
    ) -> host_pb2.ReaddressSwarmResponse:
        """`swarm readdress`: a manager listens and is reached elsewhere.

        UNAVAILABLE if it cannot listen there: then it goes on as before.
        """
        life, _ = manager_of(present)
        address, listen = await asyncio.to_thread(
            addresses,
            request.advertise_address,
            request.listen_address or life.membership.listen_address,
        )
        await life.stop()  # what it is told of managers is written down until then
        before = life.membership
        others = tuple(each for each in before.managers if each != before.advertise_address)
        after = replace(
            before, advertise_address=address, listen_address=listen, managers=(address, *others)
        )
        try:
            await to_its_end(lambda: self._memberships.save(after))
            await self._try(after, life.safe)
        except SwarmError:
            await self._go_back(before, life.safe)
            raise
        except OSError as error:
            await self._go_back(before, life.safe)
            raise _not_written("the new address", error) from error
        return host_pb2.ReaddressSwarmResponse(address=address)

    async def _go_back(self, before: Membership, safe: NodeSafe) -> None:
        try:
            if self._memberships.read() != before:
                await to_its_end(lambda: self._memberships.save(before))
        except OSError as error:
            self._failed(error)
            raise
        await self._begin(before, safe)

    async def _begin(self, membership: Membership, safe: NodeSafe) -> Life:
        """A life that has to go on."""
        try:
            return await self._try(membership, safe)
        except (OSError, SwarmError) as error:
            self._failed(error)
            raise

    async def _try(self, membership: Membership, safe: NodeSafe) -> Life:
        life = self._new_life(membership, safe)
        try:
            await life.prepare(None)
        except BaseException:
            await life.stop()
            raise
        life.begin()
        self._begun(life)
        return life


def manager_of(life: Life | LockedLife | None) -> tuple[Life, Manager]:
    """The life of a manager that works; REFUSED or DENIED, with what to do, if it is none."""
    if isinstance(life, LockedLife):
        raise LockedError
    if life is None or life.manager is None:
        raise SwarmError(
            Code.REFUSED,
            "this node is not a manager",
            why="it is in no swarm" if life is None else "it is a worker",
            remedy="run this on a manager"
            + ("; or restore a backup here: swarmctl swarm restore" if life is None else ""),
        )
    return life, life.manager


def _check_force(request: host_pb2.InitSwarmRequest) -> None:
    given = {
        "spec": request.spec.ByteSize(),
        "availability": request.availability,
        "advertise_address": request.advertise_address,
        "listen_address": request.listen_address,
    }
    for field, value in given.items():
        if value:
            raise invalid(
                field,
                "a forced new cluster goes on with what this manager has",
                remedy="change settings afterwards with swarmctl swarm update, the address with "
                "swarmctl swarm readdress",
            )


def _not_written(what: str, error: OSError) -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        f"{what} cannot be written down",
        why=f"{error}; this manager goes on as before",
        remedy="look after the disk and its free space, then try again",
    )
