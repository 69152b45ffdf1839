"""The snapshots for one member, one at a time, each on a call of its own.

Nothing waits for them, and they wait for nobody longer than STALL_LIMIT.
"""

import asyncio
import logging
from collections.abc import Iterable

import grpc

from api.errors import Code, SwarmError
from api.status import from_grpc
from api.v1.raft_pb2 import RaftGreeting, RaftMessage, RaftReceipt, SnapshotChunk
from api.v1.raft_pb2_grpc import RaftStub
from api.writing import Writing
from manager.raft.transport import chunks
from manager.raft.transport.receiver import Receiver, SnapshotData

logger = logging.getLogger(__name__)

Call = grpc.aio.StreamUnaryCall[SnapshotChunk, RaftReceipt]

STALL_LIMIT = 10.0
"""Seconds in which a chunk, or the whole at the end, must be taken."""


async def deliver(
    channel: grpc.aio.Channel, greeting: RaftGreeting, message: RaftMessage, data: bytes
) -> None:
    """Sends one snapshot; returns once the member's core has it. SwarmError: it has not."""
    call = RaftStub(channel).InstallSnapshot()
    try:
        await _write_all(call, chunks.split(greeting, message, data))
        async with asyncio.timeout(STALL_LIMIT):
            await call
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, "the member takes no more of the snapshot") from None
    except grpc.aio.AioRpcError as error:
        raise from_grpc(error, "sending the snapshot") from error
    finally:
        call.cancel()


class Deliveries:
    """Starts the deliveries to one member, and tells the receiver how each went."""

    def __init__(self, raft_id: int, snapshot_data: SnapshotData, receiver: Receiver) -> None:
        self._raft_id = raft_id
        self._snapshot_data = snapshot_data
        self._receiver = receiver
        self._task: asyncio.Task[bool] | None = None

    def start(
        self, channel: grpc.aio.Channel, greeting: RaftGreeting, message: RaftMessage
    ) -> None:
        """Sends the snapshot. If one is under way it goes on, and its outcome stands for both."""
        if self._task is None:
            self._task = asyncio.create_task(self._deliver(channel, greeting, message))
            self._task.add_done_callback(self._done)

    def refuse(self) -> None:
        """Tells, a moment later, that a snapshot could not be sent, for want of a link."""
        asyncio.get_running_loop().call_soon(self._receiver.snapshot_sent, self._raft_id, False)

    async def stop(self) -> None:
        """Ends what is under way; it counts as failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _deliver(
        self, channel: grpc.aio.Channel, greeting: RaftGreeting, message: RaftMessage
    ) -> bool:
        try:
            data = await self._snapshot_data(message.snapshot.metadata)
            await deliver(channel, greeting, message, data)
        except (SwarmError, OSError) as error:
            logger.warning("member %x did not get the snapshot: %s", self._raft_id, error)
            return False
        except Exception:  # the edge of the task: the receiver must hear of the failure
            logger.exception("the snapshot for member %x failed unexpectedly", self._raft_id)
            return False
        return True

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._task = None
        self._receiver.snapshot_sent(self._raft_id, not task.cancelled() and task.result())


async def _write_all(call: Call, pieces: Iterable[SnapshotChunk]) -> None:
    """Writes all, or until the call is over."""
    for piece in pieces:
        async with asyncio.timeout(STALL_LIMIT):
            if not await Writing(call.write(piece)):
                return
    await Writing(call.done_writing())
