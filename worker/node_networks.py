"""What an agent and its executor ask of the networks of their node, and a node that builds none."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from worker.network_book import Item, News
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


class NodeNetworks(Protocol):
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

    async def join(self, task: Task) -> Joined | None:
        """Makes the network stack of a task; None if it needs none of its own.

        SwarmError if it cannot be made here, TemporaryError if it cannot be yet.
        """

    async def drained(self, task: Task) -> None:
        """Returns once other nodes have heard that the task serves no more."""

    async def leave(self, task_id: str) -> None:
        """The task's container has ended: its network stack goes. No error if there is none."""

    async def clear(self) -> None:
        """The node has left its swarm: nothing of its networks stays."""

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

    async def join(self, task: Task) -> Joined | None:
        """See NodeNetworks."""
        if place_of(task) is None:
            return None
        raise SwarmError(Code.UNSUPPORTED, "this node builds no networks")

    async def drained(self, task: Task) -> None:
        """See NodeNetworks."""

    async def leave(self, task_id: str) -> None:
        """See NodeNetworks."""

    async def clear(self) -> None:
        """See NodeNetworks."""

    async def close(self) -> None:
        """See NodeNetworks."""
