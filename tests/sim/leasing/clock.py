"""Clocks of hosts that differ in pace, and never go back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.leasing.world import World

SKEW = 0.04
"""By how much the pace of a clock may differ: that of two of them by less than the margin."""


class Clock:
    """A clock that only runs forward, at a pace of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._pace = 1 + SKEW * world.random.choice((-1.0, 1.0, world.random.uniform(-1, 1)))
        self._begin = world.random.uniform(0, 1e5)

    def __call__(self) -> float:
        return self._begin + self._world.now * self._pace

    def until(self, moment: float) -> float:
        """True seconds until the clock shows this."""
        return max(0.0, (moment - self()) / self._pace)
