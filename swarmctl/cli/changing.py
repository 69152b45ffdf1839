"""Read, edit, write; and again if somebody else was faster."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TypeVar

from api.errors import Code, SwarmError

TRIES = 5

Read = TypeVar("Read")
Written = TypeVar("Written")


def relabel(
    labels: MutableMapping[str, str], added: Mapping[str, str], removed: Iterable[str], what: str
) -> None:
    """Changes an object's labels as --label-add and --label-rm say; NOT_FOUND for one to be removed
    that is not there. `what` has it: its noun and name.
    """
    labels.update(added)
    for key in removed:
        if key not in labels:
            noun, _, name = what.partition(" ")
            raise SwarmError(
                Code.NOT_FOUND,
                f"{what} has no label {key!r}",
                remedy=f"see them with swarmctl {noun} inspect {name}",
            )
        del labels[key]


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
