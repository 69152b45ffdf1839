"""The manager beside a node's agent: how it begins, by founding, joining, restoring or going on,
and ends.

Owns what of it is on the disk. When a node becomes a manager and when it stops to be one is
swarmctl/life.py's affair.
"""

import secrets
import shutil
from collections.abc import Callable, Sequence

import grpc

from api.errors import Code, SwarmError
from hostkit.clock import monotonic, wall
from manager.ca.bootstrap import FirstObjects
from manager.config import ManagerConfig
from manager.control.images import AskRegistry
from manager.refounding import refound, settle
from manager.restoring import Restored, found_again
from manager.seat import found_group, present_seat, take_seat
from manager.server import Manager
from swarmctl.membership import Membership, MembershipStore
from swarmctl.safe import NodeSafe
from swarmctl.threads import to_its_end

Connect = Callable[[str], grpc.aio.Channel]


class Managership:
    """Makes managers for one membership; at most one at a time."""

    def __init__(self, memberships: MembershipStore, ask_registry: AskRegistry) -> None:
        self._memberships = memberships
        self._ask_registry = ask_registry

    async def found(self, membership: Membership, safe: NodeSafe, first: FirstObjects) -> Manager:
        """A manager that leads a group of its own, whose first entry is `first`."""
        config = self._config(membership, safe)
        manager = Manager(config, found_group(config, _random64), fresh=True, founding=True)
        await manager.start(first)
        return manager

    async def join(
        self,
        membership: Membership,
        safe: NodeSafe,
        managers: Sequence[str],
        connect: Connect,
    ) -> Manager:
        """A manager with a new seat in the group of `managers`, which has got their state.

        What an earlier seat left on the disk is removed first.
        """
        self._forget_log()
        config = self._config(membership, safe)
        place = await take_seat(config, managers, connect, _random64)
        manager = Manager(config, place, fresh=True)
        await manager.start(joined=True)
        return manager

    async def restore(self, membership: Membership, safe: NodeSafe, start: Restored) -> Manager:
        """A manager that leads a group of its own, with what a backup held."""
        config = self._config(membership, safe)
        place = await to_its_end(lambda: found_again(config, _random64, start, wall()))
        manager = Manager(config, place)
        await manager.start(alone=True)
        return manager

    def refound(self, membership: Membership, safe: NodeSafe) -> None:
        """Makes the log of a manager, which does not run, that of a new group of itself alone.

        Blocks; errors as of manager.refounding. Then `resume`, also after a failure.
        """
        refound(self._config(membership, safe), _random64, wall())

    async def resume(self, membership: Membership, safe: NodeSafe) -> Manager:
        """The manager of a former run; its log must be there."""
        config = self._config(membership, safe)
        await to_its_end(lambda: settle(config))
        manager = Manager(config, present_seat(config))
        await manager.start()
        return manager

    def forget(self) -> None:
        """Removes what a manager that is none any more had on the disk: its keys, without which
        nobody can read the rest, and then that. Does nothing where there is nothing.
        """
        self._memberships.keys.unlink(missing_ok=True)
        self._forget_log()

    def _forget_log(self) -> None:
        if self._memberships.log.exists():
            shutil.rmtree(self._memberships.log)

    def _config(self, membership: Membership, safe: NodeSafe) -> ManagerConfig:
        if safe.keys is None:
            raise SwarmError(Code.INTERNAL, "a manager without keys for its log")
        return ManagerConfig(
            directory=self._memberships.log,
            keys=safe.keys,
            relock=safe.relock,
            node_id=membership.node_id,
            cluster_id=membership.cluster_id,
            listen_address=membership.listen_address,
            advertise_address=membership.advertise_address,
            credentials=safe.credentials,
            clock=wall,
            monotonic=monotonic,
            ask_registry=self._ask_registry,
        )


def _random64() -> int:
    return secrets.randbelow(2**64 - 1) + 1
