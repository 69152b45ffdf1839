"""The network between hosts: what passes, how long it takes, and who listens where.

Raft messages may be lost or overtake each other, as between managers whose streams break; calls
keep their order and lose nothing, as TCP does it, until they break (calls.py).
"""

from collections.abc import Callable, Iterable
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any

from tests.sim.control.loop import Process, VirtualLoop

if TYPE_CHECKING:
    from tests.sim.control.calls import Call, Server

KEEPALIVE = 8.0
"""Seconds after which a broken connection is noticed at the latest (api/channel.py: 5 + 3)."""


class Network:
    """Rates are probabilities per message, times are seconds."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self._nobody = Context()
        self.servers: dict[str, Server] = {}
        """By address."""
        self.calls: dict[Call, None] = {}
        """Those under way."""
        self.calm()

    def later(self, delay: float, action: Callable[..., object], *args: Any) -> None:
        """Something that happens in no process."""
        self.loop.call_later(delay, action, *args, context=self._nobody)

    def at(self, moment: float, action: Callable[..., object], *args: Any) -> None:
        """As `later`, at a moment."""
        self.loop.call_at(moment, action, *args, context=self._nobody)

    def calm(self) -> None:
        """Everything arrives soon."""
        self.drop = self.delay = 0.0
        self.longest = 0.3
        self.blocked: set[tuple[str, str]] = set()

    def block(self, some: Iterable[str], others: Iterable[str]) -> None:
        """Nothing passes between these hosts any more, in either direction."""
        others = list(others)
        for a in some:
            for b in others:
                if a != b:
                    self.blocked |= {(a, b), (b, a)}

    def block_way(self, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """Nothing passes from these to those."""
        receivers = list(receivers)
        self.blocked |= {(a, b) for a in senders for b in receivers if a != b}

    def passes(self, sender: str, receiver: str) -> bool:
        """Whether anything does."""
        return (sender, receiver) not in self.blocked

    def latency(self) -> float:
        """Seconds that one message takes."""
        chance = self.random.random
        latency = 0.0002 + 0.002 * chance()
        if self.delay and chance() < self.delay:
            latency += chance() * self.longest
        return latency

    def datagram(
        self,
        ends: tuple[str, str],
        receiver: Callable[[], Process | None],
        deliver: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """A message from one host to another; `lost` is called somewhat later if it does not come.

        `receiver` is asked for when it arrives; `deliver` happens in that process.
        """
        if self.drop and self.random.random() < self.drop:
            self.later(self.latency(), lost)
            return

        def arrive() -> None:
            process = receiver() if self.passes(*ends) else None
            if process is None:
                lost()
            else:
                process.call(deliver)

        self.later(self.latency(), arrive)

    def notice(self) -> float:
        """Seconds until one end notices that a connection is broken."""
        return self.random.uniform(0.5, KEEPALIVE)

    def ended(self, process: Process, *, silently: bool) -> None:
        """The process is gone; `silently`: its host too, so that nobody is told."""
        for address in [a for a, server in self.servers.items() if server.process is process]:
            del self.servers[address]
        for call in list(self.calls):
            call.end_lost(process, silently=silently)
