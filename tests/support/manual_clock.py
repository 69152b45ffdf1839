"""A monotonic clock that a test moves, and a sleep that goes by it."""

import asyncio


class ManualClock:
    """Call it for the time in seconds."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Returns once the clock was moved that far."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Moves the clock; whoever has slept long enough goes on in the loop's next turn."""
        self._now += seconds
        asleep = []
        for until, woken in self._sleepers:
            if until > self._now + 1e-9:
                asleep.append((until, woken))
            elif not woken.done():
                woken.set_result(None)
        self._sleepers = asleep
