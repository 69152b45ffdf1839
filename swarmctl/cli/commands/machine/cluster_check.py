"""`swarmctl machine check -f`: whether the hosts of a cluster file can be nodes, and reach each
other. Changes nothing.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click

from machine.swarm.seen import Seen
from machine.swarm.wanted import SwarmWanted
from swarmctl.cli.clusters.between import obstacles
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, opened
from swarmctl.cli.render import table


def check(path: Path, means: Means) -> None:
    """Prints what is found; ends with 1 if a host cannot be a node as it is."""
    rows, fatal = asyncio.run(_check(path, means))
    if rows:
        click.echo(table(["HOST", "PROBLEM", "REMEDY"], rows), nl=False)
    else:
        click.echo("No problems.")
    if fatal:
        raise click.exceptions.Exit(1)


async def _check(path: Path, means: Means) -> tuple[list[list[str]], bool]:
    async with opened(load(path), means) as session:
        seen = await session.look()
        found = list(problems(session.wanted, seen))
        rows = [[host, what, remedy] for host, what, remedy, _ in found]
        fatal = any(is_fatal for *_, is_fatal in found)
        between = await obstacles(session)
        rows += [[each.host, each.what, each.remedy] for each in between]
        return rows, fatal or bool(between)


def problems(wanted: SwarmWanted, seen: Seen) -> Iterator[tuple[str, str, str, bool]]:
    """Host, problem, remedy, whether it is fatal. One that is to be no node need not be there."""
    for name, host in seen.hosts.items():
        if host.error and not wanted.hosts[name].is_absent:
            yield name, host.error, "", True
        for each in host.problems:
            yield name, each.what, each.remedy, each.fatal
