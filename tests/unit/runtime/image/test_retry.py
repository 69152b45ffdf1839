"""When a request is sent again."""

import pytest

from runtime.image import retry

NOW = 1_700_000_000.0


def test_delays_double_and_end() -> None:
    delays = [retry.delay(n, None, lambda: 0.0, 0.25) for n in range(1, 6)]
    assert delays == [0.25, 0.5, 1.0, 2.0, None]
    assert retry.delay(1, None, lambda: 1.0, 0.25) == 0.125
    assert retry.delay(4, None, lambda: 0.0, 60.0) == retry.MAX_DELAY


def test_the_wish_of_the_server_counts_up_to_a_limit() -> None:
    assert retry.delay(1, 7.0, lambda: 1.0, 0.25) == 7.0
    assert retry.delay(1, retry.MAX_DELAY + 1, lambda: 0.0, 0.25) is None
    assert retry.delay(retry.ATTEMPTS, 0.0, lambda: 0.0, 0.25) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        ("soon", None),
        ("-1", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 99 Nov 2023 22:13:00 GMT", None),
    ],
)
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert retry.parse_retry_after(value, NOW) == seconds


def test_only_what_may_change_is_tried_again() -> None:
    statuses = (200, 401, 404, 408, 429, 500, 501, 502, 503, 504)
    assert [s for s in statuses if retry.is_transient(s)] == [408, 429, 500, 502, 503, 504]
