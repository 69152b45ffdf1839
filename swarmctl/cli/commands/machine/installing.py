"""`swarmctl machine provision`, and what `check`, `upgrade`, `rollback` do with single machines."""

from dataclasses import replace
from pathlib import Path

import click

from machine import inventory
from machine.making import Maker
from machine.provisioning import Tell
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.commands.machine.drawing import progress_option
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.commands.machine.together import end
from swarmctl.cli.commands.machine.wishes import (
    bundle_option,
    distribution_option,
    dry_run_option,
    force_option,
    wish,
    wish_options,
)
from swarmctl.cli.commands.machine.work import (
    on_each,
    parcel,
    show_plan,
    show_problems,
    summary,
)
from swarmctl.cli.failures import FAILED
from swarmctl.cli.grammar import Verb

_names = click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=machine_names
)


@click.command(cls=Verb)
@_names
@wish_options
@distribution_option
@bundle_option
@force_option
@dry_run_option
@progress_option
def provision(
    names: tuple[str, ...],
    settings: tuple[str, ...],
    labels: tuple[str, ...],
    registries: tuple[str, ...],
    wheel: Path | None,
    bundle: Path | None,
    force: bool,
    dry_run: bool,
    form: str,
) -> None:
    """Make hosts as they are wanted, and go on with a create that failed.

    What is right is left alone. Settings and labels that are given are added to those of before.
    Managers that have to be restarted are so one by one, while the others can do without them.
    """
    store = Store.open()
    sent = parcel(wheel, bundle)
    more = wish(settings, labels, registries)

    def asked(machine: Machine) -> Machine:
        return replace(
            machine,
            wish=replace(
                machine.wish,
                settings={**machine.wish.settings, **more.settings},
                labels={**machine.wish.labels, **more.labels},
            ),
        )

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        version = sent.distribution.version if wheel else machine.version
        if dry_run:
            wanted = inventory.with_api(asked(machine), machine.target.host)
            show_plan(machine.name, *await maker.plan(wanted, sent, version))
            return ""
        changes = await maker.provision(asked(machine), sent, tell)
        return summary(changes, store.get(machine.name).version)

    end(on_each(store, names, act, "none" if dry_run else form, force=force))


def check(names: tuple[str, ...], wheel: Path | None, bundle: Path | None) -> None:
    """Tell what keeps hosts from being nodes, each with its remedy; change nothing."""
    store = Store.open()
    sent = parcel(wheel, bundle)
    fatal: list[str] = []

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        problems, _ = await maker.plan(machine, sent)
        show_problems(machine.name, problems)
        if any(problem.fatal for problem in problems):
            fatal.append(machine.name)
        else:
            click.echo(f"{machine.name}: ok")
        return ""

    end(on_each(store, names, act, "none"))
    if fatal:
        raise click.exceptions.Exit(FAILED)


def upgrade(
    names: tuple[str, ...],
    wheel: Path | None,
    bundle: Path | None,
    form: str,
    *,
    dry_run: bool,
    force: bool,
) -> None:
    """Have hosts run this swarmctl's version, or that of a wheel.

    Where it does not come up, the version before it runs again.
    """
    store = Store.open()
    sent = parcel(wheel, bundle)

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        if dry_run:
            show_plan(machine.name, *await maker.plan(machine, sent))
            return ""
        changes = await maker.upgrade(machine, sent, tell)
        return summary(changes, store.get(machine.name).version)

    end(on_each(store, names, act, "none" if dry_run else form, force=force))


def rollback(names: tuple[str, ...], form: str, *, force: bool) -> None:
    """Have hosts run the version that they ran before, with its settings."""
    store = Store.open()

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        return f"runs {await maker.roll_back(machine, tell)}"

    end(on_each(store, names, act, form, force=force))
