"""Tells the group where this manager is reached now, for as long as its seat says something else.

A manager may start at another address than it had. The others cannot call it there before they know
it; so it calls them, at the addresses that its log knows.
"""

import asyncio
import contextlib
import logging

import grpc

from api.errors import SwarmError
from api.status import from_grpc
from api.v1 import raft_pb2, raft_pb2_grpc
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.leader_line import not_leading
from manager.forwarding.leadership import Leadership
from manager.group.group import Group

logger = logging.getLogger(__name__)

TRY = 5.0
"""Seconds that one manager gets to answer."""
PAUSE = 1.0
"""Seconds between two rounds, unless something changes before."""


class Addressing:
    """Sees to it that the seat of `node_id` has `address` (host:port)."""

    def __init__(
        self,
        node_id: str,
        address: str,
        group: Group,
        leadership: Leadership,
        channels: ManagerChannels,
    ) -> None:
        self._node_id = node_id
        self._address = address
        self._group = group
        self._leadership = leadership
        self._channels = channels

    async def run(self) -> None:
        """Works until cancelled."""
        changed = asyncio.Event()
        stop = self._leadership.subscribe(changed.set)
        try:
            while True:
                changed.clear()
                wait = None
                if self._differs():
                    await self._tell()
                    wait = PAUSE
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await changed.wait()
        finally:
            stop()

    def _differs(self) -> bool:
        own_id = self._group.own_id
        return any(
            each.raft_id == own_id and each.address != self._address
            for each in self._group.members()
        )

    async def _tell(self) -> None:
        """One round: by itself if it leads, else through any manager that answers."""
        own = raft_pb2.Member(
            raft_id=self._group.own_id, node_id=self._node_id, address=self._address
        )
        try:
            if self._leadership.is_leader:
                await self._group.take_seat(own)
            else:
                await self._tell_others(own)
        except SwarmError as error:
            logger.info("the managers do not know the new address %s yet: %s", own.address, error)
        else:
            logger.info("the managers know the new address %s", own.address)

    async def _tell_others(self, own: raft_pb2.Member) -> None:
        lost = not_leading()
        for member in self._group.members():
            if member.raft_id == own.raft_id or not member.address:
                continue
            try:
                await self._join_again(own, member.address)
            except SwarmError as error:
                lost = error
            else:
                return
        raise lost

    async def _join_again(self, own: raft_pb2.Member, manager: str) -> None:
        request = raft_pb2.JoinGroupRequest(address=own.address, raft_id=own.raft_id)
        async with self._channels.to(manager) as channel:
            try:
                await raft_pb2_grpc.ManagerGroupStub(channel).Join(request, timeout=TRY)
            except grpc.aio.AioRpcError as error:
                raise from_grpc(error, f"telling {manager} the new address") from error
