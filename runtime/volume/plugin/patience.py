"""How long a plugin is waited for that does not listen yet, as Docker's client does. Pure."""

LIMIT = 30.0
"""Seconds after which it is given up."""


def delay(attempt: int, waited: float) -> float | None:
    """Seconds to wait after the failed attempt number `attempt` (from 1); None: give up.

    1, 2, 4, 8 s and so on; a wait that would end after LIMIT is not begun.
    """
    seconds = min(LIMIT, 2.0 ** min(attempt - 1, 10))
    return None if waited + seconds > LIMIT else seconds
