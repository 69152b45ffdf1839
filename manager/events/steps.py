"""What one change of an object came to, and the small words of which that is said. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

Attributes = dict[str, str]
LONGEST = 512
"""Characters of one text that an event tells; what a task says of its end may be long."""


class Step(NamedTuple):
    """One event of an object: what happened to it, and what is to be told beside its name."""

    action: str
    attributes: Attributes


class Words(dict[int, str]):
    """The words of an enum by number: TASK_STATE_RUNNING is running. One that only a newer version
    of the program knows is told by its number.
    """

    def __init__(self, names: Mapping[str, int], prefix: str) -> None:
        super().__init__((n, name.removeprefix(prefix).lower()) for name, n in names.items())

    def __missing__(self, number: int) -> str:
        return f"{number}"


def changed(name: str, old: object, new: object) -> Attributes:
    """The two attributes of a value that changed, as Docker calls them; none if it did not."""
    if old == new:
        return {}
    return {f"{name}.old": shortened(f"{old}"), f"{name}.new": shortened(f"{new}")}


def named(name: str) -> Attributes:
    """The name of an object; none of a node that has not told it yet, and of a nameless swarm."""
    return {"name": shortened(name)} if name else {}


def shown(flag: bool) -> str:
    """A flag as Docker writes it."""
    return "true" if flag else "false"


def shortened(text: str) -> str:
    """The text, cut where it is longer than an event may be."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
