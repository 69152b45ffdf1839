"""Delays grow, stay within their bounds, and begin anew after a success."""

import random

from worker.backoff import Backoff


class Fixed:
    """Chance that always draws the same thousandth."""

    def __init__(self, thousandths: int) -> None:
        self._thousandths = thousandths

    def randrange(self, stop: int, /) -> int:
        return min(self._thousandths, stop - 1)


def test_delays_double_up_to_the_longest() -> None:
    least = Backoff(Fixed(0), first=0.1, longest=8.0)
    assert [round(least.next(), 3) for _ in range(9)] == [
        *(0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0)
    ]


def test_chance_never_leaves_the_bounds() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        backoff = Backoff(chance, first=1.0, longest=2.0)
        assert 0.5 <= backoff.next() < 1.0
        assert 1.0 <= backoff.next() < 2.0


def test_reset() -> None:
    backoff = Backoff(Fixed(0), first=1.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.5
