from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.volume.plugin import patience


def test_waits_double_and_end_within_thirty_seconds() -> None:
    waits: list[float] = []
    while (seconds := patience.delay(len(waits) + 1, sum(waits))) is not None:
        waits.append(seconds)
    assert waits == [1, 2, 4, 8]


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1e9))
def test_no_wait_ends_after_the_limit(attempt: int, waited: float) -> None:
    seconds = patience.delay(attempt, waited)
    assert seconds is None or waited + seconds <= patience.LIMIT
