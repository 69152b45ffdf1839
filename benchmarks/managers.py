"""The managers of a measured swarm: who leads, whether all are there, and a channel to any of them.

Measures nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from api.channel import unix_channel
from api.metadata import STALE
from api.v1 import control_pb2, control_pb2_grpc
from benchmarks.swarm import LIMIT, Swarm
from machine.drivers.lab import naming
from machine.drivers.lab.host import LabHost

_LOOK = 2.0
_STEP = 0.05

Group = control_pb2.ManagerGroupStatus


@asynccontextmanager
async def control_of(host: LabHost) -> AsyncIterator["control_pb2_grpc.ControlAsyncStub"]:
    """The control API as a host serves it."""
    async with unix_channel(host.paths.swarm_socket) as channel:
        yield control_pb2_grpc.ControlStub(channel)


async def leader(swarm: Swarm) -> LabHost:
    """The manager that leads; waits for one."""
    async with asyncio.timeout(LIMIT):
        while True:
            for host in managers(swarm):
                group = await seen_by(host)
                if group is not None and group.leader == group.raft_id:
                    return host
            await asyncio.sleep(_STEP)


async def all_there(swarm: Swarm) -> None:
    """Until every manager has its vote and is heard of by the leader."""
    async with asyncio.timeout(LIMIT):
        while True:
            group = await seen_by(await leader(swarm))
            if group is not None and _voices(group) == len(managers(swarm)):
                return
            await asyncio.sleep(_STEP)


async def seen_by(host: LabHost) -> Group | None:
    """The group as a manager sees it now; None if it does not answer."""
    try:
        async with control_of(host) as control:
            return await control.GetGroup(
                control_pb2.GetGroupRequest(), timeout=_LOOK, metadata=((STALE, "1"),)
            )
    except grpc.aio.AioRpcError:
        return None


def managers(swarm: Swarm) -> list[LabHost]:
    """The hosts that were made as managers."""
    return [host for host in swarm.lab.hosts() if naming.is_manager(host.name)]


def _voices(group: Group) -> int:
    return sum(
        each.voter and (each.active or each.member.raft_id == group.raft_id)
        for each in group.members
    )
