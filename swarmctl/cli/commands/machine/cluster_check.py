"""`swarmctl machine check -f`: whether the hosts of a cluster file can be nodes, and reach each
other. Changes nothing.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import click

from api.errors import SwarmError
from machine.preflight import PORTS
from machine.reach import Port, Protocol, Station, closed
from machine.swarm.seen import Seen
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, Session, opened
from swarmctl.cli.failures import tell
from swarmctl.cli.render import table

OPENING = "open it in the firewalls between them, and see that the address is the host's"


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
        rows = [[host, what, remedy] for host, what, remedy, _ in _problems(seen)]
        fatal = any(is_fatal for *_, is_fatal in _problems(seen))
        between = await _between(session)
        return rows + between, fatal or bool(between)


def _problems(seen: Seen) -> Iterator[tuple[str, str, str, bool]]:
    for name, host in seen.hosts.items():
        if host.error:
            yield name, host.error, "", True
        for each in host.problems:
            yield name, each.what, each.remedy, each.fatal


async def _between(session: Session) -> list[list[str]]:
    """Ports that one host does not reach on another."""
    stations = [
        Station(remote, _address(session, name)) for name, remote in session.remotes.items()
    ]
    if len(stations) < 2:  # noqa: PLR2004 - a host alone has nobody to reach
        return []
    ports = [Port(number, Protocol(protocol)) for protocol, number in PORTS]
    try:
        found = await closed(stations, ports, nonce=os.urandom(8).hex())
    except SwarmError as error:
        tell(error)
        return [["", "whether the hosts reach each other cannot be told", str(error)]]
    return [[e.source, f"does not reach {e.port} of {e.goal}: {e.why}", OPENING] for e in found]


def _address(session: Session, name: str) -> str:
    """Where the others reach it: what they are told, if that is an address."""
    host = session.wanted.hosts[name]
    return host.advertise if host.advertise[:1].isdigit() else host.target.host
