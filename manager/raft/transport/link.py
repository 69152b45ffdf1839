"""One channel to one member, with its two streams and its snapshots, from opening to end."""

from collections.abc import Callable, Sequence

import grpc

from api.v1.raft_pb2 import RaftBatch, RaftGreeting, RaftMessage
from hostkit.together import together
from manager.raft.transport.delivery import Deliveries
from manager.raft.transport.lane import Lane
from manager.raft.transport.outbox import Outbox


class Link:
    """`run` it once; what it has to write it takes from `outboxes`, a stream for each."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        greeting: RaftGreeting,
        outboxes: Sequence[Outbox],
        deliveries: Deliveries,
    ) -> None:
        self._channel = channel
        self._greeting = greeting
        self._lanes = [Lane(outbox) for outbox in outboxes]
        self._deliveries = deliveries
        self._unopened = len(self._lanes)

    @property
    def is_open(self) -> bool:
        """Whether the member has let all streams in."""
        return self._unopened == 0

    async def run(self, opened: Callable[[], None]) -> None:
        """Tells `opened` once all streams are open; returns only after `finish`.

        SwarmError: a stream could not be opened or broke, which ends both.
        """

        def one_opened() -> None:
            self._unopened -= 1
            if self.is_open:
                opened()

        first = RaftBatch(greeting=self._greeting).SerializeToString()
        try:
            await together(*(lane.run(self._channel, first, one_opened) for lane in self._lanes))
        finally:
            self._unopened = len(self._lanes)
            await self._deliveries.stop()
            await self._channel.close()

    def flush(self) -> None:
        """Begins to write what the outboxes hold, where nothing is being written."""
        for lane in self._lanes:
            lane.flush()

    def deliver(self, message: RaftMessage) -> None:
        """Sends a snapshot beside the streams, if they are open."""
        if self.is_open:
            self._deliveries.start(self._channel, self._greeting, message)
        else:
            self._deliveries.refuse()

    def finish(self, *, drain: bool) -> None:
        """Lets the streams end once what was written has arrived, or soon without that.

        `drain`: what is queued is written before.
        """
        for lane in self._lanes:
            lane.finish(drain=drain)
