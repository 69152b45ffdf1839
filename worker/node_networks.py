"""What an agent and its executor ask of the networks of their node, and a node that builds none."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.errors import Code, SwarmError
from api.v1 import check_pb2, dispatcher_pb2, objects_pb2, specs_pb2
from worker.network_book import Item, Key, News
from worker.task_place import place_of

Task = objects_pb2.Task

DRIVERS = ("bridge", "host", "macvlan", "null", "overlay")
ALONE = ("host", "null")
"""Drivers of a host that cannot build networks."""


@dataclass(frozen=True)
class Joined:
    """A task's network stack: the file of its namespace, its own addresses in its networks, and
    the text of its /etc/resolv.conf.
    """

    path: str
    addresses: tuple[str, ...]
    resolv_conf: str


@dataclass(frozen=True)
class Means:
    """By what a node encrypts: its public key, where its encrypted tunnels end, the UDP port, and
    the name of what does it; or, if there is no key, what is missing.
    """

    key: bytes = b""
    address: str = ""
    port: int = 0
    by: str = ""
    missing: str = ""


class TaskNetworks(Protocol):
    """What an executor asks of the networks of its node."""

    async def join(self, task: Task) -> Joined | None:
        """Makes the network stack of a task; None if it needs none of its own.

        SwarmError if it cannot be made here, TemporaryError if it cannot be yet.
        """

    async def ports(self, task_id: str) -> Collection[specs_pb2.PortConfig]:
        """Those of the node that the task has, since it was joined."""

    async def drained(self, task: Task) -> None:
        """Returns once no node leads anybody to the task any more, or after a few seconds."""

    async def leave(self, task_id: str) -> None:
        """The task's container has ended: its network stack goes. No error if there is none."""


class NodeNetworks(TaskNetworks, Protocol):
    """What an agent and its executor ask of the networks of their node."""

    def drivers(self) -> Collection[str]:
        """Of networks that this host can build."""

    async def means(self) -> Means:
        """By what it encrypts them."""

    async def renew_key(self, round: int) -> bool:
        """Makes another key to encrypt by, unless it is of this round already; whether it did."""

    async def restore(
        self, node_id: str, items: Iterable[Item], tasks: Iterable[Task], kept: Collection[str]
    ) -> None:
        """Goes on with what an earlier daemon knew: items, and tasks whose containers are there.

        Nothing is kept of other tasks, but for those of `kept`, of which nothing is known.
        """

    async def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """Carries out what a message says of networks, and returns what it changed."""

    def confirms(self) -> bool:
        """Whether nothing is left here of what the managers took back."""

    async def begin(
        self, items: Iterable[Item], containers: Iterable[Task], *, member: bool
    ) -> None:
        """Once, before all else: what the host has by itself of networks, and the containers that
        are no tasks and run. Both stay whatever swarm it is in. `member`: it is in one.
        """

    async def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> None:
        """What the host has by itself of networks has changed; no manager knows of it."""

    async def addresses(self, task_id: str) -> Mapping[str, Sequence[str]]:
        """Those of a container that is no task, with prefix lengths, by network."""

    async def grant(
        self, asked: Collection[specs_pb2.PortConfig]
    ) -> Collection[specs_pb2.PortConfig]:
        """Ports of this host for a container that is no task, which joins with them next: chosen
        where none is named. REFUSED if one is somebody's.
        """

    async def used_subnets(self) -> list[str]:
        """Those that a network of this host alone must not meet."""

    def obstacles(self) -> Collection[objects_pb2.NetworkObstacle]:
        """What other programs of the host do that is in the way, as far as is known."""

    async def check(self, order: check_pb2.CheckOrder) -> check_pb2.CheckReportRequest:
        """Looks at networks as the order says, or mends what is wrong."""

    async def clear(self) -> None:
        """The node has left its swarm: nothing of its networks stays but what is the host's."""

    async def close(self) -> None:
        """Serves no names any more, and changes nothing else."""


class NoNetworks:
    """Of a node that builds none."""

    def drivers(self) -> Collection[str]:
        """See NodeNetworks."""
        return ALONE

    async def means(self) -> Means:
        """See NodeNetworks."""
        return Means(missing="this node builds no networks")

    async def renew_key(self, round: int) -> bool:
        """See NodeNetworks."""
        return False

    async def restore(
        self, node_id: str, items: Iterable[Item], tasks: Iterable[Task], kept: Collection[str]
    ) -> None:
        """See NodeNetworks."""

    async def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> News:
        """See NodeNetworks."""
        return News()

    def confirms(self) -> bool:
        """See NodeNetworks."""
        return True

    async def begin(
        self, items: Iterable[Item], containers: Iterable[Task], *, member: bool
    ) -> None:
        """See NodeNetworks."""

    async def own(self, items: Iterable[Item], gone: Iterable[Key] = ()) -> None:
        """See NodeNetworks."""

    async def addresses(self, task_id: str) -> Mapping[str, Sequence[str]]:
        """See NodeNetworks."""
        return {}

    async def grant(
        self, asked: Collection[specs_pb2.PortConfig]
    ) -> Collection[specs_pb2.PortConfig]:
        """See NodeNetworks."""
        raise _none_built()

    async def used_subnets(self) -> list[str]:
        """See NodeNetworks."""
        return []

    async def join(self, task: Task) -> Joined | None:
        """See NodeNetworks."""
        if place_of(task) is None:
            return None
        raise _none_built()

    async def ports(self, task_id: str) -> Collection[specs_pb2.PortConfig]:
        """See NodeNetworks."""
        return ()

    async def drained(self, task: Task) -> None:
        """See NodeNetworks."""

    async def leave(self, task_id: str) -> None:
        """See NodeNetworks."""

    def obstacles(self) -> Collection[objects_pb2.NetworkObstacle]:
        """See NodeNetworks."""
        return ()

    async def check(self, order: check_pb2.CheckOrder) -> check_pb2.CheckReportRequest:
        """See NodeNetworks: there is nothing to look at."""
        return check_pb2.CheckReportRequest(order_id=order.id)

    async def clear(self) -> None:
        """See NodeNetworks."""

    async def close(self) -> None:
        """See NodeNetworks."""


def _none_built() -> SwarmError:
    return SwarmError(Code.UNSUPPORTED, "this node builds no networks")
