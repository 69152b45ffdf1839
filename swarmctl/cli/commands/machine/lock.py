"""`swarmctl machine lock`: who works on the hosts of a cluster file."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

import click

from api.errors import SwarmError
from machine.remote import Remote
from machine.swarm.lock import ask
from swarmctl.cli.clusters.carrying import Talk, confirm
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, opened
from swarmctl.cli.commands.machine import cluster_flags as flags
from swarmctl.cli.failures import end, tell
from swarmctl.cli.grammar import Verb
from swarmctl.cli.render import table


@click.command("lock", cls=Verb)
@flags.file_option
@flags.limit_option
@click.option("--break", "breaks", is_flag=True, help="End it: whoever has it is gone for good")
@flags.yes_option
def lock(path: Path, limit: str, breaks: bool, yes: bool) -> None:
    """Show who works on the hosts of a cluster file.

    A lock ends by itself three minutes after its holder has vanished. One that is broken stops its
    holder before the next action.
    """
    end(asyncio.run(_lock(path, flags.names(limit), breaks, yes)))


async def _lock(path: Path, limit: tuple[str, ...], breaks: bool, yes: bool) -> bool:
    async with opened(load(path), Means(limit)) as session:
        complete = await _shown(session.remotes)
        for way in session.ways.values():
            if isinstance(way, SwarmError):
                tell(way)
                complete = False
        if breaks:
            which = f"the locks of {', '.join(limit)}" if limit else "these locks"
            await confirm(Talk(yes=yes), f"Break {which}?")
            named = within(session.remotes, limit)
            await asyncio.gather(*(ask(each, "break") for each in named.values()))
        return complete


def within(remotes: Mapping[str, Remote], limit: Collection[str]) -> dict[str, Remote]:
    """Those that are named, all if none is: managers that are only looked at keep their locks."""
    return {name: each for name, each in remotes.items() if not limit or name in limit}


async def _shown(remotes: dict[str, Remote]) -> bool:
    found = await asyncio.gather(
        *(ask(each, "show") for each in remotes.values()), return_exceptions=True
    )
    rows = []
    complete = True
    for name, holder in zip(remotes, found, strict=True):
        if isinstance(holder, SwarmError):
            tell(holder)
            complete = False
        elif isinstance(holder, BaseException):
            raise holder
        elif holder is not None:
            rows.append([name, holder.text, f"{holder.seconds} s"])
    if rows:
        click.echo(table(["HOST", "HOLDER", "ENDS WITHIN"], rows), nl=False)
    else:
        click.echo("Nobody holds a lock.")
    return complete
