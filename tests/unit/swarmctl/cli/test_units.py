"""Sizes, durations and moments, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmctl.cli import units

NOW_NANOS = 1_800_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "count"),
    [("512", 512), ("64m", 64 << 20), ("1g", 1 << 30), ("1.5KiB", 1536), ("2TB", 2 << 40)],
)
def test_bytes(text: str, count: int) -> None:
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("2160h0m0s", 7776000)],
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_bytes, "many"),
        (units.parse_bytes, "-1"),
        (units.parse_nano_cpus, "x"),
        (units.parse_nano_cpus, "-1"),
        (units.parse_nano_cpus, "nan"),
        (units.parse_duration, ""),
        (units.parse_duration, "10"),
        (units.parse_duration, "10s x"),
        (units.parse_duration, "x10s"),
        (lambda text: units.parse_moment(text, NOW_NANOS), "yesterday"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(parse, text) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(ValueError, match=r"write|no number"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW_NANOS - 600_000_000_000),
        ("0.000000001s", NOW_NANOS - 1),
        ("1h2ns", NOW_NANOS - 3_600_000_000_002),
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        ("1700000000.1234567891", 1_700_000_000_123_456_789),
        ("2027-01-15T08:00:00Z", NOW_NANOS),
        ("2027-01-15T08:00:00.000000001Z", NOW_NANOS + 1),
        ("2027-01-15T09:00:00.5+01:00", NOW_NANOS + 500_000_000),
        ("2027-01-15T09:00:00+01:00", NOW_NANOS),
        ("0", 0),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert units.parse_moment(text, NOW_NANOS) == moment


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_the_date_of_a_line_is_read_as_it_was_shown(nanos: int) -> None:
    assert units.parse_moment(units.rfc3339_nanos(nanos), 0) == nanos


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "Less than a second"),
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (90 * 86400, "3 months"),
        (3 * 365 * 86400, "3 years"),
    ],
)
def test_ages_are_dockers(seconds: float, words: str) -> None:
    assert units.age(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (5, "5s"), (1.5, "1.5s"), (90, "1m30s"), (3600, "1h0m0s")],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert units.go_duration(seconds) == text


def test_sizes() -> None:
    assert [units.size(n) for n in (0, 999, 4_310_000, 12_000_000_000)] == [
        "0B",
        "999B",
        "4.31MB",
        "12GB",
    ]
    assert [units.binary_size(n) for n in (512, 64 << 20)] == ["512B", "64MiB"]


def test_moments_are_written_in_utc() -> None:
    assert units.rfc3339(1_800_000_000.0) == "2027-01-15T08:00:00.000000Z"


@pytest.mark.parametrize(
    ("count", "decimal", "binary"),
    [
        (10**15, "1PB", "909.5TiB"),
        (1 << 50, "1.13PB", "1PiB"),
        ((1 << 63) - 1, "9.22EB", "8EiB"),
    ],
)
def test_whatever_fits_into_a_field_has_a_size(count: int, decimal: str, binary: str) -> None:
    assert (units.size(count), units.binary_size(count)) == (decimal, binary)
