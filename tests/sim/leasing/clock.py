"""Clocks of hosts that differ in pace, and never go back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.leasing.world import World

SKEW = 0.04
"""By how much the pace of a clock may differ: that of two of them by less than the margin."""


class Clock:
    """A clock that only runs forward, at a pace of its own.

    `worst`: how much faster than true time, of SKEW, is worst for who counts by it; in every other
    run it is as bad as that.
    """

    def __init__(self, world: "World", worst: float) -> None:
        self._world = world
        pace = worst if world.is_worst else world.random.uniform(-1.0, 1.0)
        self._pace = 1 + SKEW * pace
        self._begin = world.random.uniform(0, 1e5)

    def __call__(self) -> float:
        return self._begin + self._world.now * self._pace

    def until(self, moment: float) -> float:
        """True seconds until the clock shows this."""
        return max(0.0, (moment - self()) / self._pace)
