"""One thing done to several machines at once: each failure is told, and the worst is the end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from api.errors import SwarmError
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.failures import exit_code, tell

AT_ONCE = 10
"""Machines at a time."""

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of one name."""

    name: str
    value: T | None = None
    error: SwarmError | None = None


async def outcomes(
    names: Iterable[str], act: Callable[[str], Awaitable[T]], *, at_once: int = AT_ONCE
) -> list[Outcome[T]]:
    """Acts on each name, some at a time; every one is tried. In the order of the names."""
    free = asyncio.Semaphore(at_once)

    async def one(name: str) -> Outcome[T]:
        async with free:
            try:
                return Outcome(name, await act(name))
            except SwarmError as error:
                return Outcome(name, error=error)

    return await asyncio.gather(*map(one, dict.fromkeys(names)))


def done(
    store: Store,
    names: Iterable[str],
    act: Callable[[Machine], Awaitable[T]],
    *,
    at_once: int = AT_ONCE,
) -> list[Outcome[T]]:
    """Acts on machines of the store, and tells each failure on stderr. Returns all outcomes."""

    async def one(name: str) -> T:
        return await act(store.get(name))

    found = asyncio.run(outcomes(names, one, at_once=at_once))
    for each in found:
        if each.error is not None:
            tell(each.error)
    return found


def end(found: Sequence[Outcome[T]]) -> None:
    """Ends the command with the worst of the exit codes, if anything failed."""
    worst = max((exit_code(each.error) for each in found if each.error is not None), default=0)
    if worst:
        raise click.exceptions.Exit(worst)
