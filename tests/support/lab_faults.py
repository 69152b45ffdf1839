"""What may befall a manager of a lab, and how it is made good again; and who leads it.

Each fault strikes one host. Mending it brings the host back as its operator would: after a power
failure by a start, after a full disk by making room and starting the daemon, if it ended.
"""

import dataclasses
from collections.abc import Awaitable, Callable

import grpc

from api.channel import unix_channel
from api.metadata import STALE
from api.v1 import control_pb2, control_pb2_grpc
from machine.drivers.lab import disk
from machine.drivers.lab.cuts import Way
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost

_LOOK = 2.0
_START = 30.0

Deed = Callable[[LabHost], Awaitable[object]]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`strike` and `mend` act on one host of a lab, which needs a disk of its own for some.

    `ends_daemon`: its daemon cannot go on, as soon as it notices.
    """

    name: str
    strike: Deed
    mend: Deed
    ends_daemon: bool = False


async def restart(host: LabHost) -> None:
    """Start the daemon if it does not run; returns when it listens."""
    await host.start_daemon()
    await host.wait_for_socket(host.paths.swarm_socket, _START)


async def _make_room(host: LabHost) -> None:
    await disk.free(host.paths)
    await restart(host)


async def _reboot(host: LabHost) -> None:
    await host.kill()
    await host.start()
    await restart(host)


KILLED = Fault("kill -9 of the daemon", LabHost.kill_daemon, restart, ends_daemon=True)
STANDS_STILL = Fault("SIGSTOP of the daemon", LabHost.pause_daemon, LabHost.resume_daemon)
CUT_OFF = Fault("its link cut", LabHost.cut, LabHost.heal)
MUTE = Fault("what it says is lost", lambda host: host.cut(Way.OUT), LabHost.heal)
DEAF = Fault("what it is told is lost", lambda host: host.cut(Way.IN), LabHost.heal)
POWER_LOST = Fault("power failure", LabHost.kill, _reboot)
DISK_FULL = Fault("its disk full", lambda host: disk.fill(host.paths), _make_room, ends_daemon=True)
DISK_FAILS = Fault(
    "its disk read-only", lambda host: disk.fail(host.paths), _reboot, ends_daemon=True
)


async def group_seen_by(host: LabHost) -> control_pb2.ManagerGroupStatus | None:
    """The group of managers as one of them sees it now; None if it does not answer."""
    try:
        async with unix_channel(host.paths.swarm_socket) as channel:
            stub: control_pb2_grpc.ControlAsyncStub = control_pb2_grpc.ControlStub(channel)
            return await stub.GetGroup(
                control_pb2.GetGroupRequest(), timeout=_LOOK, metadata=((STALE, "1"),)
            )
    except grpc.aio.AioRpcError:
        return None


async def leader_of(lab: LabDriver, managers: list[str]) -> str:
    """The host that leads in the highest term that any can tell of; empty if none does."""
    seen = {name: await group_seen_by(lab.host(name)) for name in managers}
    leading = {
        group.term: name
        for name, group in seen.items()
        if group is not None and group.leader == group.raft_id
    }
    return leading[max(leading)] if leading else ""


async def is_whole(lab: LabDriver, managers: list[str]) -> bool:
    """Whether the leader hears of every manager, each has a vote and holds all that is decided."""
    leader = await leader_of(lab, managers)
    group = await group_seen_by(lab.host(leader)) if leader else None
    return group is not None and (
        sum(
            each.voter and (each.active or each.member.raft_id == group.raft_id)
            for each in group.members
        )
        == len(managers)
    )
