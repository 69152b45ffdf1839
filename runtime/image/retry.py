"""When a request is sent again, and after how long. Pure: sleeps never, throws no dice."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime

ATTEMPTS = 5
"""How often one request is sent in all, before the failure is reported."""
MAX_DELAY = 30.0
"""Seconds between two attempts, at most; a server that wants more is reported instead."""

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Chance = Callable[[], float]
"""A number from 0 to 1, so that many hosts do not come back at the same moment."""


def is_transient(status: int) -> bool:
    """Whether an answer of this status may be another one next time."""
    return status in _AGAIN


def delay(attempt: int, retry_after: float | None, chance: Chance, base: float) -> float | None:
    """Seconds to wait after the failed attempt number `attempt` (from 1); None: give up.

    The server's own wish comes first; else the delay begins with `base` and doubles, less up to a
    half by chance.
    """
    if attempt >= ATTEMPTS:
        return None
    if retry_after is not None:
        return retry_after if retry_after <= MAX_DELAY else None
    doubled: float = base * 2 ** (attempt - 1)
    return min(MAX_DELAY, doubled) * (1 - chance() / 2)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds from `now` (since the epoch) of a Retry-After header, in seconds or as a date."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
