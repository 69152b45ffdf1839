"""The life of a manager whose keys are locked: it waits for the unlock key, and says so.

Runs nothing. Containers of its tasks go on under their monitors, as when a daemon is down.
"""

import logging

from api.errors import Code, SwarmError
from api.identity import Identity
from api.v1 import host_pb2, types_pb2
from manager.ca.bootstrap import FirstObjects
from manager.raft.durable.key_file import LockedError
from swarmctl.membership import Membership
from swarmctl.switch import Switch

logger = logging.getLogger(__name__)


class LockedLife:
    """Stands where swarmctl.life.Life would, until that can begin."""

    def __init__(self, membership: Membership, switch: Switch) -> None:
        self.membership = membership
        self._switch = switch

    async def prepare(self, first: FirstObjects | None) -> None:
        """There is nothing that may fail."""

    def begin(self) -> None:
        """Begins to answer cluster calls with how to unlock."""
        logger.warning("%s", LockedError())
        self._switch.refuse(LockedError)

    async def leave(self, *, force: bool) -> None:
        """Refuses without `force`: what is locked up here may be the only copy."""
        if not force:
            raise SwarmError(
                Code.REFUSED,
                "this manager is locked",
                why="what it holds of the swarm's state is lost when it leaves",
                remedy="unlock it first, or leave with --force if that is what you want",
            )

    async def stop(self) -> None:
        """Ends that."""
        self._switch.refuse()

    def info(self) -> host_pb2.SwarmInfo:
        """What `system info` tells of the membership."""
        return host_pb2.SwarmInfo(
            state=host_pb2.SwarmInfo.STATE_LOCKED,
            node_id=self.membership.node_id,
            cluster_id=self.membership.cluster_id,
            role=types_pb2.NODE_ROLE_MANAGER,
            managers=self.membership.managers,
        )

    def roots(self) -> bytes:
        """None are known while the keys are locked."""
        return b""

    def is_operator(self, identity: Identity) -> bool:
        """Nobody is: the state that would tell is locked up."""
        return False

    def complaint(self) -> str:
        """What is wrong, for the health service."""
        return str(LockedError())
