import pytest

from api.errors import Code
from machine.bounded import bounded, too_long, was_ended


def test_the_host_ends_it() -> None:
    assert bounded(["a", "b"], 2.5) == ("timeout", "-k", "5", "2.50", "a", "b")


@pytest.mark.parametrize(
    ("code", "took", "ended"),
    [(124, 10.0, True), (137, 12.0, True), (-9, 10.1, True), (124, 9.9, False), (0, 11.0, False)],
)
def test_an_exit_status_counts_as_time_over_only_when_it_is(
    code: int, took: float, ended: bool
) -> None:
    assert was_ended(code, took, 10.0) is ended


def test_the_error_shows_a_long_command_in_part() -> None:
    error = too_long(["sh", "-c", "first\n  second " + "x" * 500], "h1", 2)
    assert error.code is Code.DEADLINE
    assert error.what.startswith("sh -c first second xxx")
    assert len(error.what) < 170
