"""The clocks, and the only place that reads them. Cores are handed `now` instead."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds: since the epoch for a wall clock, since some fixed moment for a monotonic one."""

_SHORTEST = 1e-6


def timer(left: float) -> float:
    """For how many seconds to set a timer that shall go off when `left` are over: never for so few
    that the clock shows the same as before when it has, as numbers of that size round.
    """
    return max(left, _SHORTEST)


def wall() -> float:
    """Seconds since the epoch, for what people read and for the dates of certificates."""
    return time.time()


def monotonic() -> float:
    """Seconds that never jump, for timeouts, leases and delays within one process."""
    return time.monotonic()


def boot() -> float:
    """As `monotonic`, of the whole host, and it goes on while the host is suspended: for what must
    have ended by then.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def cpu() -> float:
    """Seconds that all threads of this process have worked, in the kernel and beside it."""
    return time.process_time()
