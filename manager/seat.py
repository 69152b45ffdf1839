"""How a manager comes by its place in a group: it founds one, is given one, or has one.

The place is on the disk before it is used. An id in it is never used again: a manager that lost
its log takes a new seat under a new id (Raft's members must not forget what they promised).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import grpc

from api.errors import Code, SwarmError
from api.status import from_grpc
from api.v1 import raft_pb2, raft_pb2_grpc
from manager.config import ManagerConfig
from manager.raft.durable import damage
from manager.raft.node import identity
from manager.raft.node.identity import GroupIdentity

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds in which one of the managers has to give a seat; an election is over by then."""
CALL_TIMEOUT = 10.0
PAUSE = 0.25

_PASSING = (Code.UNAVAILABLE, Code.DEADLINE, Code.UNAUTHENTICATED)
"""What another try may mend: a manager that lags behind does not know a new node yet."""

Random64 = Callable[[], int]
"""A random number from 1 to 2**64 - 1."""


def found_group(config: ManagerConfig, random64: Random64) -> GroupIdentity:
    """A new group with this manager as its only member."""
    raft_id = random64()
    own = raft_pb2.Member(raft_id=raft_id, node_id=config.node_id, address=config.advertise_address)
    return _kept(config, GroupIdentity(raft_id, random64(), (own,)))


async def take_seat(
    config: ManagerConfig,
    managers: Sequence[str],
    connect: Callable[[str], grpc.aio.Channel],
    random64: Random64,
) -> GroupIdentity:
    """Asks the managers (host:port) for a seat, until one gives it.

    SwarmError: what the leader refuses it with; UNAVAILABLE if nobody answers in time.
    """
    request = raft_pb2.JoinGroupRequest(address=config.advertise_address, raft_id=random64())
    given = await _ask(request, managers, connect)
    return _kept(config, GroupIdentity(given.raft_id, given.group_id, tuple(given.members)))


def present_seat(config: ManagerConfig) -> GroupIdentity:
    """The place that this manager has; INTERNAL if it is gone."""
    found = identity.load(config.identity_file)
    if found is None:
        raise SwarmError(
            Code.INTERNAL,
            f"this manager's place in its group is gone from {config.identity_file}",
            why="the file was removed, or the folder replaced",
            remedy=damage.REJOIN,
        )
    return found


async def _ask(
    request: raft_pb2.JoinGroupRequest,
    managers: Sequence[str],
    connect: Callable[[str], grpc.aio.Channel],
) -> raft_pb2.JoinGroupResponse:
    lost: SwarmError | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                for address in managers:
                    try:
                        return await _ask_one(request, connect(address))
                    except SwarmError as error:
                        if error.code not in _PASSING:
                            raise
                        logger.info("%s gives no seat among the managers yet: %s", address, error)
                        lost = error
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise lost or SwarmError(
            Code.UNAVAILABLE, "no manager gave this one a seat", why="none answered in time"
        ) from None


async def _ask_one(
    request: raft_pb2.JoinGroupRequest, channel: grpc.aio.Channel
) -> raft_pb2.JoinGroupResponse:
    async with channel:
        try:
            return await raft_pb2_grpc.ManagerGroupStub(channel).Join(request, timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, "taking a seat among the managers") from error


def _kept(config: ManagerConfig, place: GroupIdentity) -> GroupIdentity:
    config.identity_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity.save(config.identity_file, place)
    return place
