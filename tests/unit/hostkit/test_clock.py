import math

import pytest

from hostkit.clock import timer


@pytest.mark.parametrize("now", [0.0, 1e3, 1.8e9])
def test_a_timer_never_ends_at_the_moment_at_which_it_was_set(now: float) -> None:
    left = math.nextafter(now, math.inf) - now
    assert now + timer(left) > math.nextafter(now, math.inf)


def test_a_timer_is_as_long_as_it_is_asked_to_be() -> None:
    assert timer(2.5) == 2.5
