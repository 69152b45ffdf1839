"""Ticks out of a monotonic clock."""

import pytest

from manager.raft.node.ticker import MOST_AT_ONCE, TICK, Ticker


@pytest.mark.parametrize(
    ("ticks", "due"),
    [(0.0, 0), (0.9, 0), (1.0, 1), (1.9, 1), (2.0, 2), (3.0, 3), (3.9, 3), (4.0, MOST_AT_ONCE)],
)
def test_ticks_are_handed_in_when_their_time_has_come(ticks: float, due: int) -> None:
    assert Ticker(100.0).due(100.0 + ticks * TICK) == due


def test_no_tick_is_lost_or_given_twice_while_the_loop_is_in_time() -> None:
    ticker = Ticker(100.0)
    now, total = 100.0, 0
    for step in range(1000):
        now += TICK * (0.3 + step % 3)
        total += ticker.due(now)
    assert total == pytest.approx((now - 100.0) / TICK, abs=1)


def test_after_a_pause_the_time_begins_anew() -> None:
    ticker = Ticker(100.0)
    assert ticker.due(160.0) == MOST_AT_ONCE
    assert ticker.due(160.0 + 0.9 * TICK) == 0
    assert ticker.due(160.0 + TICK) == 1


def test_it_says_how_long_to_sleep() -> None:
    ticker = Ticker(100.0)
    assert ticker.until_next(100.0) == pytest.approx(TICK)
    assert ticker.until_next(100.0 + 0.75 * TICK) == pytest.approx(0.25 * TICK)
    assert ticker.until_next(200.0) == 0.0
    assert ticker.due(100.0 + ticker.until_next(100.0)) == 1
