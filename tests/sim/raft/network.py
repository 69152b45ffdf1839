"""The network between members: what is sent arrives late, twice, in another order, or never.

A snapshot takes its own, longer way, and its sender learns how it ended, as the transport does it.
"""

from collections.abc import Callable, Iterable
from random import Random

from api.v1.raft_pb2 import RaftMessage
from tests.sim.raft.clock import Clock

Deliver = Callable[[RaftMessage], bool]
SNAPSHOT = RaftMessage.TYPE_SNAPSHOT


class Network:
    """Rates are probabilities per message, times are ms. `deliver` says whether it was taken."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        deliver: Deliver,
        unreachable: Callable[[int, int], None],
        snapshot_sent: Callable[[int, int, bool], None],
    ) -> None:
        self._clock = clock
        self._random = random
        self._deliver = deliver
        self._unreachable = unreachable
        self._snapshot_sent = snapshot_sent
        self.calm()

    def calm(self) -> None:
        """Everything arrives soon."""
        self.drop = self.duplicate = self.delay = self.snapshot_cut = 0.0
        self.longest = 300
        self.blocked: set[tuple[int, int]] = set()

    def block(self, senders: Iterable[int], receivers: Iterable[int]) -> None:
        """Nothing passes from these to those any more; what is under way is lost too."""
        receivers = list(receivers)
        self.blocked |= {(a, b) for a in senders for b in receivers if a != b}

    def send(self, message: RaftMessage) -> None:
        """Takes a message on its way. Never tells the sender now what becomes of it."""
        chance = self._random.random
        if self.drop and chance() < self.drop:
            self._lost(message)
            return
        delay = 1 + int(chance() * 4)
        if self.delay and chance() < self.delay:
            delay += int(chance() * self.longest)
        if message.type == SNAPSHOT:
            self._clock.after(delay + int(chance() * 500), self._arrive_snapshot, message)
            return
        self._clock.after(delay, self._arrive, message)
        if self.duplicate and chance() < self.duplicate:
            self._clock.after(delay + int(chance() * 500), self._arrive, message)

    def _passes(self, message: RaftMessage) -> bool:
        return not self.blocked or (getattr(message, "from"), message.to) not in self.blocked

    def _arrive(self, message: RaftMessage) -> None:
        if not self._passes(message) or not self._deliver(message):
            self._lost(message)

    def _arrive_snapshot(self, message: RaftMessage) -> None:
        cut = self.snapshot_cut and self._random.random() < self.snapshot_cut
        arrived = not cut and self._passes(message) and self._deliver(message)
        self._snapshot_sent(getattr(message, "from"), message.to, arrived)

    def _lost(self, message: RaftMessage) -> None:
        if message.type == SNAPSHOT:
            self._snapshot_sent(getattr(message, "from"), message.to, False)
        elif self._random.random() < 0.3:
            self._unreachable(getattr(message, "from"), message.to)
