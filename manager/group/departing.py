"""How a manager gives up its own seat: through the leader, which it is not itself then."""

import asyncio

from api.errors import SwarmError
from api.v1 import raft_pb2
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.leader_line import LeaderLine, LeaderMovedError, not_leading
from manager.forwarding.leadership import Leadership
from manager.group.group import Group

METHOD = "/swarm.v1.ManagerGroup/Leave"
PATIENCE = 20.0
FORCED_PATIENCE = 5.0
"""Seconds in which the group is asked; with force a manager goes after the second, let go or not.
"""
_TRY = 5.0
_PAUSE = 0.2


async def leave_group(
    group: Group,
    node_id: str,
    leadership: Leadership,
    channels: ManagerChannels,
    *,
    force: bool,
) -> None:
    """Returns once this manager is out; with `force` also if nobody could let it go in time.

    REFUSED if too few managers would be left to agree, UNAVAILABLE if nobody leads.
    """
    try:
        async with asyncio.timeout(FORCED_PATIENCE if force else PATIENCE):
            await _leave(group, node_id, LeaderLine(leadership, channels), leadership, force=force)
    except SwarmError:
        if not force:
            raise
    except TimeoutError:
        if not force:
            raise not_leading() from None


async def _leave(
    group: Group, node_id: str, line: LeaderLine, leadership: Leadership, *, force: bool
) -> None:
    request = raft_pb2.LeaveGroupRequest(force=force).SerializeToString()
    while True:
        if leadership.is_leader:
            refusal = group.needed(node_id)
            if refusal is not None:
                raise refusal
            await group.hand_over()
        try:
            await line.call(METHOD, request, None, timeout=_TRY)
        except LeaderMovedError:
            await asyncio.sleep(_PAUSE)
        else:
            return
