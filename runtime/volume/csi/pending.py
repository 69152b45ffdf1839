"""How often a driver is asked again that is still busy with the volume. Pure."""

_LONGEST = 8.0


def delay(attempt: int, left: float) -> float | None:
    """Seconds to wait after the answer "still busy" number `attempt` (from 1), with `left` seconds
    of the call's time; None: it is told to the caller. Doubles, as the specification wishes.
    """
    seconds = min(_LONGEST, 0.5 * 2.0 ** min(attempt - 1, 10))
    return seconds if seconds < left else None
