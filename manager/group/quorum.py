"""Whether a group of managers can still agree: asked before one of them goes on without it."""

import asyncio

from api.errors import Code, SwarmError
from manager.forwarding.leadership import Leadership
from manager.group.group import Group

PATIENCE = 5.0
"""Seconds in which a group that has a quorum shows it: two elections take less."""


async def check_lost(group: Group, leadership: Leadership) -> None:
    """REFUSED if the group has a quorum, and this manager is not its only member.

    A group that was forced out of it would be a second one beside it.
    """
    if len(group.members()) <= 1:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            await leadership.read_barrier()
    except (SwarmError, TimeoutError):
        return
    raise SwarmError(
        Code.REFUSED,
        "the managers need no new group",
        why="more than half of them are there and agree",
        remedy="take out those that are lost for good: swarmctl node demote, then node rm",
    )
