"""Conversions between seconds, or nanoseconds, and the protobuf types of time. Reads no clock.

Seconds are floats, and exact to a microsecond at best: lines of logs are told apart by nanoseconds.
"""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

NANOS = 1_000_000_000


def timestamp(seconds: float) -> Timestamp:
    """A Timestamp of seconds since the epoch."""
    whole, nanos = divmod(round(seconds * NANOS), NANOS)
    return Timestamp(seconds=whole, nanos=nanos)


def seconds_of(moment: Timestamp | Duration) -> float:
    """Seconds since the epoch of a Timestamp, or seconds of a Duration."""
    return moment.seconds + moment.nanos / NANOS


def at_nanos(nanos: int) -> Timestamp:
    """A Timestamp of nanoseconds since the epoch."""
    whole, rest = divmod(nanos, NANOS)
    return Timestamp(seconds=whole, nanos=rest)


def nanos_of(moment: Timestamp) -> int:
    """Nanoseconds since the epoch of a Timestamp."""
    return moment.seconds * NANOS + moment.nanos


def duration(seconds: float) -> Duration:
    """A Duration of so many seconds, which may be negative."""
    nanos = round(abs(seconds) * NANOS)
    sign = -1 if seconds < 0 else 1
    return Duration(seconds=sign * (nanos // NANOS), nanos=sign * (nanos % NANOS))
