"""A leader's duty: seats and the store's wishes are brought together, and told in node objects.

Nodes that are to be managers say so in their spec; that they are, and how they fare, stands in
their ManagerStatus. Decides by moves.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, types_pb2
from manager.group.group import Group
from manager.group.moves import HandOver, Promote, Remove, next_move, statuses
from manager.state.changes import Batch, batch, copy, update
from manager.state.proposer import Proposer
from manager.state.store import View

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds: learners catch up and managers fall silent without any event."""


class Keeper:
    """Looks after the group while this manager leads. `subscribe`: to changes of the group."""

    def __init__(
        self,
        view: View,
        proposer: Proposer,
        group: Group,
        subscribe: Callable[[Callable[[], None]], Callable[[], None]],
    ) -> None:
        self._view = view
        self._proposer = proposer
        self._group = group
        self._subscribe = subscribe

    async def run(self) -> None:
        """Works until cancelled."""
        changed = asyncio.Event()
        stop = self._subscribe(changed.set)
        try:
            while True:
                changed.clear()
                try:
                    if await self._look():
                        continue
                except SwarmError as error:
                    logger.warning("the group of managers is looked after again soon: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await changed.wait()
        finally:
            stop()

    async def _look(self) -> bool:
        """One look; whether it moved somebody, so that there may be more to do."""
        await self._tell()
        wanted = [
            node.id
            for node in self._view.all(objects_pb2.Node)
            if node.spec.role == types_pb2.NODE_ROLE_MANAGER
        ]
        seats = self._group.seats()
        move = next_move(seats, wanted, leader=self._group.leader_id, commit=self._group.commit())
        match move:
            case Promote(seat):
                await self._group.promote(seat)
                logger.info("manager %s has caught up and votes from now on", seat.node_id)
            case Remove(seat):
                await self._group.remove(seat)
                logger.info("manager %s is no longer one", seat.node_id)
            case HandOver(seat):
                logger.info("this manager is to be a worker: another shall lead")
                return await self._group.hand_over()
            case None:
                return False
        return True

    async def _tell(self) -> None:
        found = statuses(
            self._view.all(objects_pb2.Node), self._group.seats(), leader=self._group.leader_id
        )
        batches: list[Batch] = []
        for node_id, status in found.items():
            node = self._view.get(objects_pb2.Node, node_id)
            if node is None:
                continue
            changed = copy(node)
            changed.ClearField("manager")
            if status is not None:
                changed.manager.CopyFrom(status)
            batches.append(batch(update(changed)))
        if batches:
            applied = await self._proposer.propose(batches)
            for refusal in applied.results:
                if refusal is not None and refusal.code is not Code.CONFLICT:
                    raise refusal
