"""What the transport needs of the node whose messages it carries. Words only, no behaviour."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import grpc

from api.errors import SwarmError
from api.v1.raft_pb2 import Member, RaftMessage, SnapshotMetadata

Connect = Callable[[Member], grpc.aio.Channel]
"""A new channel to a member with the present credentials, which only its node can answer."""
SnapshotData = Callable[[SnapshotMetadata], Awaitable[bytes]]
"""The data of a snapshot that this member holds; SwarmError or OSError if it does not any more."""
CONSENT = ("swarm-raft-let-in", "yes")
"""In the initial metadata of a stream that was let in; those of a refusal are empty."""

REMOVED = "greeting.from"
"""The field of the refusal that tells a member that it was removed from the group."""


class Receiver(Protocol):
    """The member that this transport serves. All of it is called on the event loop."""

    @property
    def group_id(self) -> int:
        """The group; messages of another are refused."""

    @property
    def raft_id(self) -> int:
        """The member itself."""

    def admits(self, raft_id: int, node_id: str) -> SwarmError | None:
        """Why messages of this member, under this node's certificate, are refused; or None."""

    async def receive(self, messages: Sequence[RaftMessage]) -> None:
        """Takes messages of one member, in order; the next ones come when it has returned."""

    async def receive_snapshot(self, message: RaftMessage) -> None:
        """Takes a TYPE_SNAPSHOT with all its data; returns once it is in the core's hands."""

    def refused(self, refusal: SwarmError) -> None:
        """Another member does not let this one in."""

    def unreachable(self, raft_id: int) -> None:
        """Messages to this member were lost, or may have been."""

    def snapshot_sent(self, raft_id: int, ok: bool) -> None:
        """The snapshot for this member has arrived, or has not."""
