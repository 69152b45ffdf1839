"""Makes a swarm of a lab's hosts, over their daemons' own sockets, as an operator would.

Safe to repeat: hosts that are in the swarm stay, the rest join.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from api.channel import unix_channel
from api.errors import Code, SwarmError
from api.pieces import gathered
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, host_pb2, host_pb2_grpc, specs_pb2, types_pb2
from machine.drivers.lab import naming
from machine.drivers.lab.driver import all_of
from machine.drivers.lab.host import LabHost

T = TypeVar("T")

DEFAULT_HEARTBEAT = 5.0
_CALL_TIMEOUT = 30.0
_LOOK_TIMEOUT = 2.0
_ROLES = {types_pb2.NODE_ROLE_MANAGER: "manager", types_pb2.NODE_ROLE_WORKER: "worker"}
_STEP = 0.1


async def form(
    hosts: Sequence[LabHost], *, heartbeat: float = DEFAULT_HEARTBEAT, timeout: float = 60.0
) -> None:
    """Make one swarm of these hosts, the first its first manager; returns when all are ready.

    `heartbeat` in seconds. All join at once; managers are ready when they have their votes. What a
    daemon refuses is passed on as it said it.
    """
    await all_of(host.wait_for_socket(host.paths.swarm_socket) for host in hosts)
    first, *others = hosts
    await _init(first, heartbeat)
    async with _connected(first) as channel:
        control = control_pb2_grpc.ControlStub(channel)
        cluster = await _answer(
            control.GetCluster(control_pb2.GetClusterRequest(), timeout=_CALL_TIMEOUT),
            "asking for the join tokens",
        )
        tokens = cluster.root_ca
        manager = f"{first.address}:{naming.SWARM_PORT}"
        token = {True: tokens.manager_token, False: tokens.worker_token}
        end = asyncio.get_running_loop().time() + timeout
        await all_of(
            _join(host, token[naming.is_manager(host.name)], manager, end) for host in others
        )
        await _all_ready(control, {host.name for host in hosts}, timeout)


async def role(host: LabHost) -> str:
    """What a host is in its swarm, as its daemon says; `-` if it is in none or does not answer."""
    info = await _told(host)
    if info is None or info.swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE:
        return "-"
    return _ROLES[info.swarm.role]


async def version(host: LabHost) -> str:
    """Which one its daemon is; "" if it does not answer."""
    info = await _told(host, _CALL_TIMEOUT)
    return info.version if info is not None else ""


async def _told(host: LabHost, timeout: float = _LOOK_TIMEOUT) -> host_pb2.InfoResponse | None:
    try:
        async with _connected(host) as channel:
            stub = host_pb2_grpc.HostStub(channel)
            return await stub.Info(host_pb2.InfoRequest(), timeout=timeout)
    except grpc.aio.AioRpcError:
        return None


async def _init(host: LabHost, heartbeat: float) -> None:
    async with _connected(host) as channel:
        stub = host_pb2_grpc.HostStub(channel)
        if await _is_member(stub, host):
            return
        period = Duration()
        period.FromMilliseconds(round(heartbeat * 1000))
        request = host_pb2.InitSwarmRequest(
            advertise_address=host.address,
            listen_address=f"0.0.0.0:{naming.SWARM_PORT}",
            spec=specs_pb2.ClusterSpec(heartbeat_period=period),
        )
        await _answer(stub.InitSwarm(request, timeout=_CALL_TIMEOUT), f"init on {host.name}")


async def _join(host: LabHost, token: str, manager: str, end: float) -> None:
    """Joins, once the manager finds the time for it, until `end` of the loop's time: a machine that
    carries whole labs may be busy.
    """
    async with _connected(host) as channel:
        stub = host_pb2_grpc.HostStub(channel)
        if await _is_member(stub, host):
            return
        request = host_pb2.JoinSwarmRequest(
            token=token,
            managers=[manager],
            advertise_address=host.address,
            listen_address=f"0.0.0.0:{naming.SWARM_PORT}",
        )
        while True:
            try:
                await _answer(
                    stub.JoinSwarm(request, timeout=_CALL_TIMEOUT), f"join of {host.name}"
                )
            except SwarmError as error:
                late = asyncio.get_running_loop().time() >= end
                if late or error.code not in (Code.DEADLINE, Code.UNAVAILABLE):
                    raise
                await asyncio.sleep(_STEP)
            else:
                return


async def _is_member(stub: "host_pb2_grpc.HostAsyncStub", host: LabHost) -> bool:
    info = await _answer(
        stub.Info(host_pb2.InfoRequest(), timeout=_CALL_TIMEOUT, wait_for_ready=True),
        f"asking {host.name}",
    )
    return info.swarm.state != host_pb2.SwarmInfo.STATE_INACTIVE


async def _all_ready(
    control: "control_pb2_grpc.ControlAsyncStub", wanted: set[str], timeout: float
) -> None:
    missing = wanted
    try:
        async with asyncio.timeout(timeout):
            while missing:
                answer = await _answer(
                    gathered(
                        control.ListNodes(control_pb2.ListNodesRequest(), timeout=_CALL_TIMEOUT),
                        into=control_pb2.ListNodesResponse(),
                    ),
                    "listing the nodes",
                )
                group = await _answer(
                    control.GetGroup(control_pb2.GetGroupRequest(), timeout=_CALL_TIMEOUT),
                    "asking who has a vote",
                )
                voters = {each.member.node_id for each in group.members if each.voter}
                missing = wanted - {
                    node.description.hostname
                    for node in answer.nodes
                    if node.status.state == types_pb2.NODE_STATE_READY
                    and (node.spec.role != types_pb2.NODE_ROLE_MANAGER or node.id in voters)
                }
                if missing:
                    await asyncio.sleep(_STEP)
    except TimeoutError:
        raise SwarmError(
            Code.DEADLINE,
            "not every host of the lab became ready",
            why=f"after {timeout:g} s still missing: {', '.join(sorted(missing))}",
            remedy="see the hosts' daemon.log in the lab's directory",
        ) from None


@asynccontextmanager
async def _connected(host: LabHost) -> AsyncIterator[grpc.aio.Channel]:
    async with unix_channel(host.paths.swarm_socket) as channel:
        yield channel


async def _answer(call: Awaitable[T], doing: str) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_grpc(error, doing) from error
