"""Durations as Go, and so Docker's command line and files, write them: 90s, 1m30s, 1.5h. Pure."""

import re
from decimal import Decimal

from api.times import NANOS

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_NANOS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANOS,
    "m": 60 * NANOS,
    "h": 3600 * NANOS,
}
_LIMIT = 2**63
"""Of what fits into a field, in nanoseconds, as in Go."""


def parse_duration(text: str) -> float:
    """Seconds of 90s, 1m30s, 1.5h; ValueError otherwise."""
    return duration_nanos(text) / NANOS


def duration_nanos(text: str) -> int:
    """Nanoseconds of the same; ValueError otherwise."""
    if text == "0":
        return 0
    total, end = Decimal(0), 0
    for match in _PART.finditer(text):
        if match.start() != end:
            break
        total += Decimal(match[1]) * _UNIT_NANOS[match[2]]
        end = match.end()
    if not text or end != len(text) or total >= _LIMIT:
        raise ValueError(f"{text!r} is no duration; write it as 10s or 1m30s")
    return int(total)
