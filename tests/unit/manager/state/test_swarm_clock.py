"""What time it is in a swarm, while the clocks of its managers are set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.state.swarm_clock import FURTHEST, LEAP, SLOWER, SteadyTime, SwarmClock, believed

NOW = 1_800_000_000.0
HOUR = 3600.0

# Each reading: what the wall clock and the monotonic one show, the last stamp; what comes of it.
READINGS: dict[str, list[tuple[float, float, float, float]]] = {
    "a right clock is followed": [(NOW, 5, 0, NOW), (NOW + 9, 14, NOW + 1, NOW + 9)],
    "forward at once": [(NOW, 5, 0, NOW), (NOW + HOUR, 6, 0, NOW + HOUR)],
    "back slowly": [
        (NOW, 0, 0, NOW),
        (NOW - HOUR + 8, 8, 0, NOW + 8 * SLOWER),
        (NOW - HOUR + 16, 16, 0, NOW + 16 * SLOWER),
        (NOW + 7 * HOUR, 8 * HOUR, 0, NOW + 7 * HOUR),
        (NOW + 8 * HOUR, 9 * HOUR, 0, NOW + 8 * HOUR),
    ],
    "a new leader goes on where the last one was": [
        (NOW, 0, NOW + HOUR, NOW + HOUR),
        (NOW + 8, 8, NOW + HOUR, NOW + HOUR + 7),
    ],
    "also one that had a time of its own": [
        (NOW, 0, 0, NOW),
        (NOW + 100, 100, NOW + HOUR, NOW + HOUR),
        (NOW + 108, 108, NOW + HOUR + 9, NOW + HOUR + 9),
    ],
    "back at once from where no clock should be": [
        (NOW, 0, 0, NOW),
        (NOW - FURTHEST - 1, 1, NOW, NOW - FURTHEST - 1),
    ],
    "nobody follows a stamp from there": [(NOW, 0, NOW + 2 * FURTHEST, NOW)],
    "time stands still with both clocks": [(NOW, 5, 0, NOW), (NOW, 5, 0, NOW)],
}


@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_readings(readings: list[tuple[float, float, float, float]]) -> None:
    steady = SteadyTime()
    for wall, monotonic, newest, expected in readings:
        assert steady.at(wall, monotonic, newest) == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-FURTHEST / 2, FURTHEST / 2), st.floats(0, 1000))))
def test_it_never_goes_back_and_is_never_behind(steps: list[tuple[float, float]]) -> None:
    steady, passed, last = SteadyTime(), 0.0, 0.0
    for skew, seconds in steps:
        passed += seconds
        wall = NOW + passed + skew
        shown = steady.at(wall, passed, last)
        assert shown >= max(wall, last)
        if last:
            assert shown >= last + seconds * SLOWER - 1e-3
        last = shown


@given(st.floats(1, FURTHEST))
def test_it_is_caught_up_with_in_eight_times_what_it_is_ahead(ahead: float) -> None:
    steady = SteadyTime()
    steady.at(NOW + ahead, 0.0, 0.0)
    for after in (ahead, 4 * ahead, 8.1 * ahead):
        shown = steady.at(NOW + after, after, 0.0)
    assert shown == NOW + after


def test_it_reads_the_last_stamp_each_time() -> None:
    stamps = [0.0, NOW + 60]
    clock = SwarmClock(lambda: NOW, lambda: 0.0, lambda: stamps.pop(0))
    assert [clock(), clock()] == [NOW, NOW + 60]


@pytest.mark.parametrize(
    ("stamp", "ahead", "expected"),
    [
        (NOW - HOUR, 0.0, NOW - HOUR),
        (NOW + HOUR, 0.0, NOW + HOUR),
        (NOW + FURTHEST + 1, 0.0, 0.0),
        (NOW + FURTHEST + 1, 2.0, NOW + FURTHEST + 1),
    ],
)
def test_what_a_clock_gave_that_was_wholly_wrong_is_old(
    stamp: float, ahead: float, expected: float
) -> None:
    assert believed(stamp, NOW, ahead=ahead) == expected


# Each reading as above, or None where a manager begins to lead; since when it has waited then.
WAITS: dict[str, list[tuple[tuple[float, float, float] | None, float]]] = {
    "from the first reading on": [((NOW, 5, 0), NOW), ((NOW + 300, 305, 0), NOW)],
    "not for what it skips": [((NOW, 5, 0), NOW), ((NOW + HOUR, 6, 0), NOW + HOUR)],
    "though it is set forward a little": [((NOW, 5, 0), NOW), ((NOW + LEAP + 1, 6, 0), NOW)],
    "though it waits for the wall clock": [
        ((NOW, 0, 0), NOW),
        ((NOW - HOUR, 1, 0), NOW),
        ((NOW + 9 * HOUR, 10 * HOUR, 0), NOW),
    ],
    "not for what another skipped": [((NOW, 0, 0), NOW), ((NOW + 1, 1, NOW + HOUR), NOW + HOUR)],
    "from the beginning of its lead": [((NOW, 0, 0), NOW), (None, 0), ((NOW + 9, 9, 0), NOW + 9)],
    "anew where no clock should have been": [
        ((NOW, 0, 0), NOW),
        ((NOW - FURTHEST - 1, 1, NOW), NOW - FURTHEST - 1),
    ],
}


@pytest.mark.parametrize("readings", WAITS.values(), ids=WAITS)
def test_since_when_it_has_waited(
    readings: list[tuple[tuple[float, float, float] | None, float]],
) -> None:
    steady = SteadyTime()
    for reading, since in readings:
        if reading is None:
            steady.wait_anew()
        else:
            steady.at(*reading)
        assert steady.waited_since == since
