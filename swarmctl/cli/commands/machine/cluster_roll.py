"""`swarmctl machine upgrade` and `rollback` of whole clusters: one node after another, with a way
back.
"""

import asyncio
import dataclasses
from pathlib import Path

import click

from api.errors import invalid
from machine.swarm import versions
from machine.swarm.actions import Plan
from machine.swarm.choices import Choices
from machine.swarm.plan import UPGRADES, plan
from machine.swarm.seen import Seen
from swarmctl.cli.clusters.carrying import Talk, show, work
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, Session, opened


@dataclasses.dataclass(frozen=True)
class Roll:
    """What is asked. `to`: the version to go back to, if that is not clear."""

    path: Path
    means: Means
    choices: Choices
    talk: Talk
    dry_run: bool = False
    to: str = ""


def roll(asked: Roll) -> None:
    """Upgrades the nodes of a cluster file, or goes back; prints what is done, and how it ended."""
    made = asyncio.run(_roll(asked))
    if made.is_empty:
        click.echo("No changes.", err=asked.talk.progress == "json")


async def _roll(asked: Roll) -> Plan:
    async with opened(load(asked.path), asked.means) as session:
        if asked.dry_run:
            made = _plan(session, await session.look(), asked)
            show(made, asked.talk)
            return made
        doing = "rollback" if asked.choices.goes_back else "upgrade"
        return await work(session, doing, asked.talk, lambda seen: _plan(session, seen, asked))


def _plan(session: Session, seen: Seen, asked: Roll) -> Plan:
    if asked.choices.goes_back:
        version = versions.before(seen, asked.means.limit or list(session.wanted.hosts), asked.to)
    else:
        version = session.distribution.version
        pinned = session.wanted.version
        if pinned and pinned != version:
            raise invalid(
                "version",
                f"the file wants version {pinned}, and this is {version}",
                remedy="change it in the file first, or give --distribution FILE",
            )
    session.wanted = dataclasses.replace(session.wanted, version=version)
    return plan(session.wanted, seen, asked.choices, only=UPGRADES)
