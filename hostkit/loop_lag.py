"""How late an asyncio loop is: what one step that holds it costs everybody else.

Measures only; whoever reads it decides what is too much.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from hostkit.clock import Clock

PERIOD = 0.1
"""Seconds between two measurements. A step that holds the loop for longer is never missed whole."""
WINDOW = 60.0
"""Seconds that the worst one is remembered for."""


class LoopLag:
    """Keep `run` running on the loop. Lags are seconds by which a callback came too late."""

    def __init__(
        self,
        monotonic: Clock,
        *,
        period: float = PERIOD,
        window: float = WINDOW,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._period = period
        self._window = window
        self._sleep = sleep
        # The measurements that no later one exceeds, the worst first, each with its time.
        self._worst: deque[tuple[float, float]] = deque()
        self.last = 0.0
        """The lag of the last measurement."""

    async def run(self) -> None:
        """Measures until cancelled."""
        while True:
            due = self._monotonic() + self._period
            await self._sleep(self._period)
            now = self._monotonic()
            self.note(now, max(0.0, now - due))

    def note(self, now: float, lag: float) -> None:
        """Takes a measurement of `lag` seconds, made at `now`."""
        self.last = lag
        while self._worst and self._worst[-1][1] <= lag:
            self._worst.pop()
        self._worst.append((now, lag))
        self._forget(now)

    def worst(self) -> float:
        """The worst lag within the window; 0 before the first measurement."""
        self._forget(self._monotonic())
        return self._worst[0][1] if self._worst else 0.0

    def _forget(self, now: float) -> None:
        while self._worst and self._worst[0][0] <= now - self._window:
            self._worst.popleft()
