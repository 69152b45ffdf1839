"""Figures: whether a floor is met, and the line that is printed."""

import pytest

from benchmarks.figure import Figure, Measured, line

FAST = Figure("fast", "w", "s", 0.5, "1", "t")
MANY = Figure("many", "w", "1/s", 400, "1", "t", better="higher")


@pytest.mark.parametrize(
    ("figure", "value", "met"),
    [
        (FAST, 0.4, True),
        (FAST, 0.5, True),
        (FAST, 0.6, False),
        (MANY, 399, False),
        (MANY, 400, True),
        (MANY, 401, True),
    ],
)
def test_floor(figure: Figure, value: float, met: bool) -> None:
    assert figure.is_met_by(value) is met


def test_the_line_holds_the_median_of_the_runs() -> None:
    measured = Measured([0.12345, 9.0, 0.2], {"echo": 2067.4})
    assert line(FAST, measured, load=1.239, on="2026-01-01") == {
        "figure": "fast",
        "value": 0.2,
        "unit": "s",
        "floor": 0.5,
        "better": "lower",
        "load": 1.24,
        "runs": [0.123, 9.0, 0.2],
        "beside": {"echo": 2067},
        "on": "2026-01-01",
    }
