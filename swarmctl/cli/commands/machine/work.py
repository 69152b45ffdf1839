"""What the verbs that install have in common: the maker, the drawing, and how plans are shown."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import click

from api.errors import SwarmError
from hostkit.clock import monotonic
from machine.making import Maker, Parcel
from machine.provision import Installer
from machine.provisioning import Change, Problem, Tell
from machine.sparing import Turns
from machine.ssh.proving import Pinned
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.clusters.session import who
from swarmctl.cli.commands.machine.asking import keyring, remote_of, tell_pinned
from swarmctl.cli.commands.machine.drawing import drawing
from swarmctl.cli.commands.machine.together import Outcome, done

Act = Callable[[Maker, Machine, Tell], Awaitable[str]]
"""Works on one machine; what to say when it is done."""


def maker(store: Store, *, force: bool = False, pinned: Pinned = tell_pinned) -> Maker:
    """Works on the machines of a store, over SSH, asking at this terminal. `force`: see Turns."""
    keys, turns = keyring(), Turns(monotonic, force=force)
    return Maker(
        store,
        lambda machine: remote_of(store, machine, keys, pinned),
        Installer(who()),
        who(),
        turns,
    )


def on_each(
    store: Store,
    names: Iterable[str],
    act: Act,
    form: str,
    *,
    force: bool = False,
    pinned: Pinned = tell_pinned,
) -> list[Outcome[str]]:
    """Acts on machines at once, draws how that goes, and tells each failure."""
    makes = maker(store, force=force, pinned=pinned)
    with drawing(form) as drawn:

        async def one(machine: Machine) -> str:
            try:
                said = await act(makes, machine, drawn.teller(machine.name))
            except SwarmError as error:
                drawn.finish(machine.name, "failed", str(error))
                raise
            drawn.finish(machine.name, "done", said)
            return said

        return done(store, names, one)


def parcel(wheel: Path | None, bundle: Path | None) -> Parcel:
    """What --distribution and --bundle give."""
    return Parcel.of(wheel, bundle)


def summary(changes: Sequence[Change], version: str) -> str:
    """What was done, in a few words."""
    if not changes:
        return "no changes"
    restarted = any("restart" in change.what for change in changes)
    return f"{len(changes)} changes, runs {version}" + (", restarted" if restarted else "")


def show_plan(machine: str, problems: Sequence[Problem], changes: Sequence[Change]) -> None:
    """A plan on standard output, what is in its way on standard error."""
    show_problems(machine, problems)
    for line in plan_lines(changes):
        click.echo(f"{machine}: {line}")


def plan_lines(changes: Sequence[Change]) -> list[str]:
    """A plan as text."""
    return [
        f"{change.kind.value} {change.what}" + (f" ({change.why})" if change.why else "")
        for change in changes
    ] or ["no changes"]


def show_problems(machine: str, problems: Sequence[Problem]) -> None:
    """Problems on standard error, each with its remedy."""
    for problem in problems:
        weight = "" if problem.fatal else "warning: "
        click.echo(f"{machine}: {weight}{problem.what}. Remedy: {problem.remedy}", err=True)
