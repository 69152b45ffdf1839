"""How refusals name who uses something that was to be removed. Pure."""

from collections.abc import Sequence

_NAMED = 5


def named(users: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = len(users) - _NAMED
    return ", ".join(users[:_NAMED]) + (f" and {more} more" if more > 0 else "")
