"""How a planted bug is written down: a function that makes the patch, and where to look for it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from unittest.mock import patch

from manager.raft.core import step
from manager.raft.core.step import Handler

Patch: TypeAlias = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Plant:
    """The patch, named plant_..., its docstring says what is wrong; the settings of the hunt."""

    patch: Patch
    faults: str
    nodes: int
    steps: int
    seeds: int


class Plants:
    """Collects the planted bugs of a module, as a decorator."""

    def __init__(self) -> None:
        self.all: list[Plant] = []

    def __call__(
        self, faults: str = "all", *, nodes: int = 3, steps: int = 4_000, seeds: int = 20
    ) -> Callable[[Patch], Patch]:
        """`faults` as the settings write them; up to `seeds` runs of `steps` events."""

        def add(function: Patch) -> Patch:
            self.all.append(Plant(function, faults, nodes, steps, seeds))
            return function

        return add


def swap(owner: Any, name: str, new: object) -> AbstractContextManager[object]:
    """Has `owner.name` be `new` for a while; AttributeError if there is no such name."""
    return patch.object(owner, name, new)


@contextmanager
def at_once(*swaps: AbstractContextManager[object]) -> Iterator[None]:
    """All of these for a while; none of them if one cannot be."""
    with ExitStack() as planted:
        for each in swaps:
            planted.enter_context(each)
        yield


def rehandle(old: Handler, new: Handler) -> AbstractContextManager[object]:
    """Has every role that handles a message by `old` do it by `new`."""
    handlers = {
        role: {kind: new if each is old else each for kind, each in known.items()}
        for role, known in step._HANDLERS.items()
    }
    return swap(step, "_HANDLERS", handlers)
