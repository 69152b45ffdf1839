"""Read, edit, write; and again if somebody else was faster."""

from collections.abc import Callable
from typing import TypeVar

from api.errors import Code, SwarmError

TRIES = 5

Read = TypeVar("Read")
Written = TypeVar("Written")


def change(read: Callable[[], Read], write: Callable[[Read], Written]) -> Written:
    """What `write` answers. It sends the version that `read` gave, and is refused with CONFLICT if
    the object has changed since; the last of TRIES conflicts is raised.
    """
    for attempt in range(1, TRIES + 1):
        present = read()
        try:
            return write(present)
        except SwarmError as error:
            if error.code is not Code.CONFLICT or attempt == TRIES:
                raise
    raise AssertionError("unreachable: the last try returns or raises")
