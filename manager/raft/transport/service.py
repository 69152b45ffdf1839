"""What other members send: checked, then handed to the receiver in order. Decides nothing else.

The Authorizer before it has made sure that a manager of the cluster calls. Here it is compared with
the group's own list: a raft id belongs to one node, and a removed one is refused for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from api.errors import Code, SwarmError, invalid
from api.serving import Context, caller
from api.v1 import raft_pb2_grpc
from api.v1.raft_pb2 import RaftBatch, RaftGreeting, RaftMessage, RaftReceipt, SnapshotChunk
from manager.raft.transport.chunks import SNAPSHOT_BYTES, Assembly
from manager.raft.transport.receiver import CONSENT, Receiver


def _ignore(_: RaftGreeting, __: str) -> None:
    """The default of `greeted`."""


class RaftService(raft_pb2_grpc.RaftServicer):
    """Serves the streams of all other members; `greeted` hears of each that is let in, and of the
    node id in its certificate.
    """

    def __init__(
        self,
        receiver: Receiver,
        greeted: Callable[[RaftGreeting, str], None] = _ignore,
        *,
        snapshot_limit: int = SNAPSHOT_BYTES,
    ) -> None:
        self._receiver = receiver
        self._greeted = greeted
        self._snapshot_limit = snapshot_limit
        self._sending_snapshots: set[int] = set()

    async def Exchange(
        self, request_iterator: AsyncIterator[RaftBatch], context: Context
    ) -> RaftReceipt:
        """Messages of one member, until it ends the stream; the next are read when it is ready."""
        node_id = caller().id
        greeting = None
        async for batch in request_iterator:
            if greeting is None:
                greeting = self._let_in(batch.greeting, node_id)
                await context.send_initial_metadata((CONSENT,))  # the sender waits for it
            elif batch.HasField("greeting"):
                raise invalid("greeting", "a stream has one greeting, in its first batch")
            if batch.messages:
                self._check(greeting, node_id, batch.messages)
                await self._receiver.receive(batch.messages)
        return RaftReceipt()

    async def InstallSnapshot(
        self, request_iterator: AsyncIterator[SnapshotChunk], context: Context
    ) -> RaftReceipt:
        """One snapshot; the answer comes when the core has it."""
        node_id = caller().id
        async for first in request_iterator:
            greeting = self._let_in(first.greeting, node_id)
            sender = _sender(greeting)
            self._check(greeting, node_id, (first.head,), snapshot=True)
            if sender in self._sending_snapshots:
                raise SwarmError(Code.UNAVAILABLE, "one snapshot of this member is under way")
            self._sending_snapshots.add(sender)
            try:
                message = await self._collect(first, request_iterator)
            finally:
                self._sending_snapshots.discard(sender)
            self._check(greeting, node_id, (message,), snapshot=True)
            await self._receiver.receive_snapshot(message)
            return RaftReceipt()
        raise invalid("head", "a snapshot without its message")

    async def _collect(
        self, first: SnapshotChunk, others: AsyncIterator[SnapshotChunk]
    ) -> RaftMessage:
        assembly = Assembly(first, limit=self._snapshot_limit)
        async for chunk in others:
            assembly.add(chunk)
        # Joining hundreds of megabytes would hold the loop up.
        return await asyncio.to_thread(assembly.message)

    def _let_in(self, greeting: RaftGreeting, node_id: str) -> RaftGreeting:
        """The greeting, if it is meant for this member and comes from one of its group."""
        if greeting.group_id != self._receiver.group_id:
            raise SwarmError(
                Code.REFUSED,
                "this manager belongs to another group",
                why=f"it is of group {self._receiver.group_id:x}, not {greeting.group_id:x}",
                remedy="if a new group was forced, let the old managers leave and join again",
            )
        if greeting.to != self._receiver.raft_id:
            raise SwarmError(
                Code.REFUSED,
                "this manager is another member",
                why=f"it is {self._receiver.raft_id:x}, not {greeting.to:x}",
            )
        self._admit(_sender(greeting), node_id)
        self._greeted(greeting, node_id)
        return greeting

    def _check(
        self,
        greeting: RaftGreeting,
        node_id: str,
        messages: Iterable[RaftMessage],
        *,
        snapshot: bool = False,
    ) -> None:
        """Once more for each batch: a member that was removed meanwhile is heard no longer."""
        sender = _sender(greeting)
        self._admit(sender, node_id)
        for message in messages:
            if getattr(message, "from") != sender or message.to != greeting.to:
                raise SwarmError(Code.REFUSED, "a message is not between the two of its stream")
            if (message.type == RaftMessage.TYPE_SNAPSHOT) != snapshot:
                raise invalid("type", "snapshots, and they alone, go by InstallSnapshot")

    def _admit(self, raft_id: int, node_id: str) -> None:
        refusal = self._receiver.admits(raft_id, node_id)
        if refusal is not None:
            raise refusal


def _sender(greeting: RaftGreeting) -> int:
    return int(getattr(greeting, "from"))
