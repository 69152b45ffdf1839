"""`swarmctl system install`: makes this very host a node, without SSH, or takes that back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import click

from api.errors import SwarmError
from hostkit.clock import monotonic
from machine.layout import SETTINGS
from machine.local import LocalRemote
from machine.making import Parcel
from machine.provision import Installer
from machine.provisioning import Tell, Wanted
from machine.remote import Remote
from machine.sparing import Turns
from machine.steps.settings import settings_of
from machine.store.machine import Wish
from swarmctl.cli.clusters.session import who
from swarmctl.cli.commands.machine.drawing import drawing, progress_option
from swarmctl.cli.commands.machine.wishes import (
    bundle_option,
    distribution_option,
    dry_run_option,
    force_option,
    wish,
    wish_options,
)
from swarmctl.cli.commands.machine.work import parcel, show_plan, summary
from swarmctl.cli.grammar import Verb

Act = Callable[[Installer, Remote, Tell], Awaitable[str]]


@click.command("install", cls=Verb)
@wish_options
@distribution_option
@bundle_option
@force_option
@dry_run_option
@click.option(
    "--uninstall",
    is_flag=True,
    help="Leave the host as it was, without its images and volumes; --force: leave its swarm first",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@progress_option
def install(
    settings: tuple[str, ...],
    labels: tuple[str, ...],
    registries: tuple[str, ...],
    wheel: Path | None,
    bundle: Path | None,
    force: bool,
    dry_run: bool,
    uninstall: bool,
    yes: bool,
    form: str,
) -> None:
    """Install what a node needs on this host, and start swarmd. Again, to upgrade or repair it.

    Settings that are given are added to those that the host has. A manager is restarted only while
    the others can do without it.
    """
    if uninstall:
        if dry_run:
            raise click.UsageError("--dry-run and --uninstall exclude one another.")
        _uninstall(form, ask=not yes, force=force)
        return
    asked = wish(settings, labels, registries)
    sent = parcel(wheel, bundle)

    async def act(installer: Installer, here: Remote, tell: Tell) -> str:
        wanted = _wanted(await here.read(SETTINGS) or b"", asked, sent)
        if dry_run:
            problems = await installer.problems(here, wanted)
            show_plan(here.name, problems, await installer.changes(here, wanted))
            return ""
        turns = Turns(monotonic, force=force)
        return summary(await turns.apply(installer, here, wanted, tell), wanted.version)

    _here(act, "none" if dry_run else form)


def _uninstall(form: str, *, ask: bool, force: bool) -> None:
    if ask:
        click.confirm(
            "This removes swarmd from this host, with its images and volumes.\nAre you sure?",
            abort=True,
            err=True,
        )

    async def act(installer: Installer, here: Remote, tell: Tell) -> str:
        await installer.remove(here, tell, force=force)
        return "removed"

    _here(act, form)


def _here(act: Act, form: str) -> None:
    """Acts on this host, and draws how that goes."""

    async def work() -> None:
        here = LocalRemote.here()
        try:
            drawn.finish(here.name, "done", await act(installer, here, drawn.teller(here.name)))
        except SwarmError as error:
            drawn.finish(here.name, "failed", str(error))
            raise
        finally:
            await here.close()

    installer = Installer(who())
    with drawing(form) as drawn:
        asyncio.run(work())


def _wanted(present: bytes, asked: Wish, sent: Parcel) -> Wanted:
    """What the host is to have: its settings as they are, with those that were given."""
    settings: Mapping[str, Any] = {**settings_of(present), **asked.settings}
    if asked.labels:
        settings = {**settings, "labels": {**settings.get("labels", {}), **asked.labels}}
    return Wanted(sent.distribution.version, settings, bundle=sent.bundle, wheel=sent.wheel)
