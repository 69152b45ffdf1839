"""Sizes, durations and moments, as people write and read them. Pure; `now` is an argument.

Writes and reads what Docker's command line does: 1.5g, 1m30s, 2 minutes ago.
"""

import re
from datetime import UTC, datetime, timedelta

from api import durations
from api.times import NANOS

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DIGITS = 9  # of a fraction of a second, in nanoseconds
_AGES = (
    (48, 1, "hour"),
    (14 * 24, 24, "day"),
    (60 * 24, 7 * 24, "week"),
    (2 * 365 * 24, 30 * 24, "month"),
)
_YEAR_HOURS = 365 * 24
_LIMIT = 2**63
"""Of what fits into a field: bytes and nano-CPUs."""

parse_duration = durations.parse_duration


def parse_bytes(text: str) -> int:
    """Bytes of 512, 64m, 1.5g; ValueError otherwise. Units are powers of 1024, as Docker's."""
    match = _BYTES.fullmatch(text.strip())
    count = -1 if match is None else int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])
    if not 0 <= count < _LIMIT:
        raise ValueError(f"{text!r} is no size; write it as 512m or 1.5g")
    return count


def parse_nano_cpus(text: str) -> int:
    """Billionths of a CPU of 0.5 or 2; ValueError otherwise."""
    try:
        nanos = float(text) * NANOS
    except ValueError:
        nanos = -1
    if not 0 <= nanos < _LIMIT:
        raise ValueError(f"{text!r} is no number of cpus; write it as 0.5")
    return round(nanos)


def parse_moment(text: str, now: int) -> int:
    """Nanoseconds since the epoch of RFC 3339, a date, a Unix time, or a duration before `now`."""
    try:
        return now - durations.duration_nanos(text) if text != "0" else 0
    except ValueError:
        pass
    if unix := re.fullmatch(r"(\d{1,12})(?:\.(\d+))?", text):
        return int(unix[1]) * NANOS + _fraction(unix[2])
    # Python keeps no more than microseconds.
    whole = re.fullmatch(r"(.*:\d\d)[.,](\d+)(Z|[+-][\d:]+)?", text)
    try:
        moment = datetime.fromisoformat(whole[1] + (whole[3] or "") if whole else text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; write 10m or 2026-01-31T12:00:00Z") from error
    seconds = int((moment if moment.tzinfo else moment.astimezone()).timestamp())
    return seconds * NANOS + _fraction(whole[2] if whole else "")


def _fraction(digits: str | None) -> int:
    """Nanoseconds of the digits behind the point; what is smaller is left out."""
    return int((digits or "")[:_DIGITS].ljust(_DIGITS, "0"))


def age(seconds: float) -> str:
    """How long ago, in Docker's words: 5 seconds, About a minute, 2 hours, 3 weeks."""
    whole = max(0, int(seconds))
    if whole < 1:
        return "Less than a second"
    if whole < 60:  # noqa: PLR2004
        return _counted(whole, "second")
    if whole < 3600:  # noqa: PLR2004
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"  # noqa: PLR2004
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, unit, word in _AGES:
        if hours < limit:
            return _counted(hours // unit, word)
    return _counted(int(seconds / 3600) // _YEAR_HOURS, "year")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def ago(seconds: float) -> str:
    """The age as a phrase: 5 seconds ago."""
    return f"{age(seconds)} ago"


def size(count: int) -> str:
    """Bytes as Docker's `image ls` shows them: 4.31MB, in powers of 1000 and three figures."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB", "PB", "EB"))
    unit = next(units)
    while value >= 1000:  # noqa: PLR2004
        value, unit = value / 1000, next(units)
    return f"{value:.3g}{unit}"


def binary_size(count: int) -> str:
    """Bytes in powers of 1024, as limits are given: 64MiB."""
    value, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
    unit = next(units)
    while value >= 1024:  # noqa: PLR2004
        value, unit = value / 1024, next(units)
    return f"{value:.4g}{unit}"


def go_duration(seconds: float) -> str:
    """Seconds as Go writes a duration: 1m30s, 500ms, 0s."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    whole = timedelta(seconds=int(seconds))
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    minutes, left = divmod(rest, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{left + seconds % 1:g}s"


def rfc3339(seconds: float) -> str:
    """A moment in UTC with microseconds: 2026-01-31T12:00:00.000000Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def rfc3339_nanos(nanos: int) -> str:
    """A moment in UTC as Docker dates lines of logs: 2026-01-31T12:00:00.000000000Z."""
    seconds, rest = divmod(nanos, NANOS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:0{_DIGITS}d}Z"
