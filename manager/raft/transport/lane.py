"""One Exchange stream to one member, and the queue before it. Knows nothing of the other stream.

A message of an idle stream is written at once. While a write is under way messages gather, and go
out together when it is done: so batches grow with the load, and nothing waits without it.
"""

import asyncio
from collections.abc import Callable

import grpc

from api.errors import Code, SwarmError
from api.status import from_grpc
from api.v1 import raft_pb2
from api.writing import Writing
from manager.raft.transport.outbox import Outbox
from manager.raft.transport.receiver import CONSENT

Call = grpc.aio.StreamUnaryCall[bytes, raft_pb2.RaftReceipt]

OPENING_LIMIT = 2.0
"""Seconds from dialling to the member's consent. A group whose handshakes take longer than an
election timeout could not agree on anything; and after a partition a new attempt is sooner heard
than the kernel's next repetition of the old one."""
ENDING_LIMIT = 0.5
"""Seconds for the last messages to arrive, when a stream is ended in order."""
_EXCHANGE = f"/{raft_pb2.DESCRIPTOR.services_by_name['Raft'].full_name}/Exchange"


class Lane:
    """One stream, from its opening to its end, for the messages of `outbox`. `run` it once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._call: Call | None = None
        self._idle: asyncio.Future[None] | None = None
        self._begun: Writing | None = None
        self._ending = False
        self._drain = False
        self._deadline: asyncio.Timeout | None = None

    def flush(self) -> None:
        """Begins to write what is queued, if the stream is open and nothing is being written."""
        if self._call is None or self._call.done() or not self._outbox:
            return
        if self._idle is not None and not self._idle.done():
            self._begun = Writing(self._call.write(self._outbox.take()))
            self._idle.set_result(None)

    def finish(self, *, drain: bool) -> None:
        """Lets the stream end once what was written has arrived, or ENDING_LIMIT has passed.

        With `drain` what is still queued is written before; without, it stays for the next stream.
        One that is not open yet ends at once.
        """
        self._drain = self._drain or drain
        if self._ending:
            return
        self._ending = True
        if self._deadline is not None and not self._deadline.expired():
            now = asyncio.get_running_loop().time()
            self._deadline.reschedule(now if self._call is None else now + ENDING_LIMIT)
        self._wake()

    async def run(
        self, channel: grpc.aio.Channel, greeting: bytes, opened: Callable[[], None]
    ) -> None:
        """Opens a stream, tells `opened`, and writes until it ends; returns only after `finish`.

        `greeting` is a serialised RaftBatch. SwarmError: the stream could not be opened, or broke.
        """
        if self._ending:
            return
        call: Call = channel.stream_unary(
            _EXCHANGE, response_deserializer=raft_pb2.RaftReceipt.FromString
        )()
        try:
            async with asyncio.timeout(OPENING_LIMIT) as self._deadline:
                await Writing(call.write(greeting))
                if CONSENT in tuple(await call.initial_metadata()):
                    opened()
                    if not self._ending:  # else `finish` has set another
                        self._deadline.reschedule(None)
                    await self._write_all(call)
                await call
        except TimeoutError:
            raise SwarmError(Code.DEADLINE, "no answer in time") from None
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, "the stream") from error
        finally:
            self._forget(call)
        if not self._ending:
            raise SwarmError(Code.UNAVAILABLE, "the member has ended the stream")

    async def _write_all(self, call: Call) -> None:
        self._call = call
        call.add_done_callback(self._wake)
        while not call.done():
            if self._ending and not (self._drain and self._outbox):
                await Writing(call.done_writing())
                return
            if self._outbox:
                written = await Writing(call.write(self._outbox.take()))
            else:
                written = await self._more()
            if not written:
                return

    async def _more(self) -> bool:
        """Waits for messages; False if the write that began meanwhile has failed."""
        self._idle = asyncio.get_running_loop().create_future()
        await self._idle
        begun, self._begun = self._begun, None
        return begun is None or await begun

    def _wake(self, _: object = None) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _forget(self, call: Call) -> None:
        self._call = self._idle = self._deadline = None
        if self._begun is not None:
            self._begun.close()
            self._begun = None
        call.cancel()
