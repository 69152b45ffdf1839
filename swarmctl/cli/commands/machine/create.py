"""`swarmctl machine create` and `adopt`: hosts that become machines of this operator."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from api.errors import SwarmError
from machine import inventory
from machine.drivers.registry import kind
from machine.making import Maker, Parcel
from machine.provisioning import Tell
from machine.store import files
from machine.store.machine import Machine, Wish
from machine.store.store import Store
from swarmctl.cli.commands.machine.asking import tell_new
from swarmctl.cli.commands.machine.drawing import progress_option
from swarmctl.cli.commands.machine.driver_flags import chosen_options, driver_flags
from swarmctl.cli.commands.machine.together import Outcome, end
from swarmctl.cli.commands.machine.wishes import (
    bundle_option,
    distribution_option,
    dry_run_option,
    wish,
    wish_options,
)
from swarmctl.cli.commands.machine.work import Act, on_each, parcel, show_plan, summary
from swarmctl.cli.failures import tell as tell_failure
from swarmctl.cli.grammar import Verb

_names = click.argument("names", metavar="NAME...", nargs=-1, required=True)
_san_option = click.option(
    "--tls-san", "sans", multiple=True, help="Further name in its certificate; repeatable"
)


@click.command(cls=Verb)
@_names
@driver_flags
@wish_options
@_san_option
@click.option("--set-hostname", is_flag=True, help="Also have the host call itself NAME")
@distribution_option
@bundle_option
@dry_run_option
@progress_option
@click.pass_context
def create(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    driver: str,
    settings: tuple[str, ...],
    labels: tuple[str, ...],
    registries: tuple[str, ...],
    sans: tuple[str, ...],
    set_hostname: bool,
    wheel: Path | None,
    bundle: Path | None,
    dry_run: bool,
    form: str,
    **flags: Any,  # noqa: ANN401 - one keyword per option of a driver
) -> None:
    """Make hosts, install what a node needs, and start swarmd there.

    One that fails stays a machine: provision goes on with it, rm cleans up.
    """
    options, _ = chosen_options(ctx, driver, flags)
    wanted = wish(settings, labels, registries)
    sent = parcel(wheel, bundle)

    def added(store: Store, name: str) -> None:
        asked = replace(wanted, hostname=name if set_hostname else "")
        machine = inventory.add(store, name, driver, options, asked)
        store.save(replace(machine, names=sans))

    if dry_run:
        _show(names, driver, added, sent)
        return
    store = Store.open()

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        changes = await maker.create(machine, sent, tell)
        return summary(changes, store.get(machine.name).version)

    _each(store, names, added, act, form)


@click.command(cls=Verb)
@_names
@driver_flags
@_san_option
@progress_option
@click.pass_context
def adopt(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    driver: str,
    sans: tuple[str, ...],
    form: str,
    **flags: Any,  # noqa: ANN401 - one keyword per option of a driver
) -> None:
    """Record hosts that run swarmd already, as they are: nothing is changed there.

    provision then gives them our certificates, and keeps their settings.
    """
    options, _ = chosen_options(ctx, driver, flags)

    def added(store: Store, name: str) -> None:
        store.save(replace(inventory.add(store, name, driver, options, Wish()), names=sans))

    async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
        tell("looking at the host")
        return f"runs {(await maker.adopt(machine)).version}"

    _each(Store.open(), names, added, act, form)


def _each(
    store: Store,
    names: tuple[str, ...],
    added: Callable[[Store, str], None],
    act: Act,
    form: str,
) -> None:
    """Records all machines, then acts on those that could be recorded."""
    failed: list[Outcome[str]] = []
    recorded = []
    for name in dict.fromkeys(names):
        try:
            added(store, name)
            recorded.append(name)
        except SwarmError as error:
            tell_failure(error)
            failed.append(Outcome(name, error=error))
    found = on_each(store, recorded, act, form)
    if form != "json":
        for each in found:
            if each.error is None:
                click.echo(each.name)
    end([*failed, *found])


def _show(
    names: tuple[str, ...],
    driver: str,
    added: Callable[[Store, str], None],
    sent: Parcel,
) -> None:
    """What would be done, by records that are thrown away."""
    if kind(driver).has_power:
        for name in names:
            click.echo(f"{name}: + make a host with the driver {driver}, and install it")
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        known = files.read(Store.open().known_hosts)
        if known is not None:  # a host that is not the one it was is refused now, too
            files.replace(store.known_hosts, known)
        for name in dict.fromkeys(names):
            added(store, name)

        async def act(maker: Maker, machine: Machine, tell: Tell) -> str:
            made = await inventory.make(store, machine)
            show_plan(made.name, *await maker.plan(made, sent))
            return ""

        end(on_each(store, names, act, "none", pinned=tell_new))
