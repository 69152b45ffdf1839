"""What an agent and its executor ask of the volumes of their node, and a node that has none."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, volume_pb2
from runtime.driver import Fill

Task = objects_pb2.Task
SendVolumes = Callable[[list[volume_pb2.NodeVolumeStatus]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Given:
    """What a container gets of its volumes: all its mounts, which of them are to be filled, and
    which are block devices of the host.
    """

    mounts: list[specs_pb2.Mount]
    fills: tuple[Fill, ...] = ()
    devices: tuple[Path, ...] = ()


class TaskVolumes(Protocol):
    """What an executor asks of the volumes of its node."""

    async def join(
        self, task: Task, spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]
    ) -> Given:
        """Mounts what the task needs; what it has is its own until `leave`, also if this fails.

        `spec`: its container, with its placeholders filled in; `image`: the configuration of its
        image. TemporaryError while a lease is missing; SwarmError where a volume cannot be had.
        """

    async def take_turn(self, task: Task) -> None:
        """Returns when nobody has its volumes any more who has to have ended before it begins;
        TemporaryError while somebody has.
        """

    async def leave(self, task_id: str) -> None:
        """Its container has ended, and never runs again as it is."""

    async def forget(self, task_id: str) -> None:
        """Its container is gone, and its anonymous volumes go."""

    def why(self, task_id: str) -> str:
        """Why a volume of it is gone, if one is."""


class NodeVolumes(TaskVolumes, Protocol):
    """What an agent asks of the volumes of its node."""

    def restore(self, tasks: Iterable[Task]) -> None:
        """Goes on with what is mounted, before anything is heard of managers. `tasks`: those that
        they had given.
        """

    async def drivers(self) -> list[objects_pb2.VolumeDriver]:
        """What this node has, for its description."""

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """Takes in what managers say, at once: what is lost by that is renewed no more."""

    def renew(self, sent: float, applied: int) -> None:
        """A heartbeat was answered, and renews the leases: the moment of CLOCK_BOOTTIME at which it
        was sent, and what had been carried out by then.
        """

    def has_leases(self) -> bool:
        """Whether anything waits to be renewed."""

    async def deliver(self, send: SendVolumes) -> None:
        """Tells what became of volumes, until `send` fails."""

    async def carry_out(self, order: volume_pb2.VolumeOrder) -> volume_pb2.VolumeOrderReport:
        """Lets a driver do something at its storage; what fails is in the report."""

    def save(self, order: volume_pb2.VolumeOrder) -> AsyncGenerator[bytes, None]:
        """The archive that an order asks for, in pieces; SwarmError if that cannot be had."""

    async def fill(self, order: volume_pb2.VolumeOrder, pieces: AsyncIterator[bytes]) -> None:
        """Makes the volume of an order from an archive, or nothing; SwarmError."""


def _none() -> SwarmError:
    return SwarmError(Code.UNSUPPORTED, "this node has no volumes")


class NoVolumes:
    """NodeVolumes of a node that has none."""

    async def join(
        self, task: Task, spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]
    ) -> Given:
        """See TaskVolumes."""
        return Given(list(spec.mounts))

    async def take_turn(self, task: Task) -> None:
        """See TaskVolumes."""

    async def leave(self, task_id: str) -> None:
        """See TaskVolumes."""

    async def forget(self, task_id: str) -> None:
        """See TaskVolumes."""

    def why(self, task_id: str) -> str:
        """See TaskVolumes."""
        return ""

    def restore(self, tasks: Iterable[Task]) -> None:
        """See NodeVolumes."""

    async def drivers(self) -> list[objects_pb2.VolumeDriver]:
        """See NodeVolumes."""
        return []

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """See NodeVolumes."""

    def renew(self, sent: float, applied: int) -> None:
        """See NodeVolumes."""

    def has_leases(self) -> bool:
        """See NodeVolumes."""
        return False

    async def deliver(self, send: SendVolumes) -> None:
        """See NodeVolumes."""
        await asyncio.get_running_loop().create_future()

    async def carry_out(self, order: volume_pb2.VolumeOrder) -> volume_pb2.VolumeOrderReport:
        """See NodeVolumes."""
        return volume_pb2.VolumeOrderReport(order_id=order.id, error=str(_none()))

    async def save(self, order: volume_pb2.VolumeOrder) -> AsyncGenerator[bytes, None]:
        """See NodeVolumes."""
        raise _none()
        yield b""

    async def fill(self, order: volume_pb2.VolumeOrder, pieces: AsyncIterator[bytes]) -> None:
        """See NodeVolumes."""
        raise _none()
