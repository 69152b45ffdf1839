"""`swarmctl machine apply` and `drift`: a cluster file, made true or only compared."""

import asyncio
import json
from pathlib import Path

import click

from api.errors import invalid
from machine.swarm import versions
from machine.swarm.actions import Plan
from machine.swarm.choices import Choices
from machine.swarm.plan import plan
from machine.swarm.seen import Seen
from machine.swarm.waits import Patience
from swarmctl.cli.clusters import plan_text
from swarmctl.cli.clusters.carrying import Talk, show, work
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, Session, opened
from swarmctl.cli.commands.machine import cluster_flags as flags
from swarmctl.cli.commands.machine.drawing import progress_option
from swarmctl.cli.commands.machine.wishes import bundle_option, distribution_option
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import whole

CHANGES = 2
"""Exit code for: there is something to change."""


@click.command("apply", cls=Verb)
@flags.file_option
@flags.limit_option
@flags.concurrency_option
@distribution_option
@bundle_option
@flags.wait_options
@click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing")
@click.option("--diff", is_flag=True, help="As --dry-run, with every single change of a host")
@click.option("--prune", is_flag=True, help="Also remove nodes that are no host of the file")
@click.option("--cleanup", is_flag=True, help="Uninstall swarmd from hosts that are removed")
@click.option("--lose-data", is_flag=True, help="Also remove nodes with the only copy of a volume")
@click.option("--skip-unreachable", is_flag=True, help="Leave out workers that are not reached")
@click.option("--no-drain", is_flag=True, help="Upgrade workers while their tasks run on")
@click.option(
    "--batch", type=whole(1, 100), default="1", help="Workers that are upgraded at once [1]"
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="End with 2 if there is, or was, something to change"
)
@flags.message_option
@progress_option
@flags.yes_option
def apply(
    path: Path,
    limit: str,
    concurrency: int,
    wheel: Path | None,
    bundle: Path | None,
    ready_timeout: float,
    drain_timeout: float,
    dry_run: bool,
    diff: bool,
    prune: bool,
    cleanup: bool,
    lose_data: bool,
    skip_unreachable: bool,
    no_drain: bool,
    batch: int,
    detailed_exitcode: bool,
    message: str,
    form: str,
    yes: bool,
) -> None:
    """Make hosts and swarm what the cluster file says. Again, to go on after a failure.

    Without changes it ends with 0 and says so.
    """
    patience = Patience(ready=ready_timeout, drain=drain_timeout)
    means = Means(flags.names(limit), concurrency, wheel, bundle, patience)
    choices = Choices(
        limit=frozenset(means.limit),
        prune=prune,
        cleanup=cleanup,
        may_lose_data=lose_data,
        may_skip=skip_unreachable,
        drains=not no_drain,
        batch=batch,
    )
    talk = Talk(form, full=diff, yes=yes, message=message)
    looks = dry_run or diff
    made = asyncio.run(
        _compare(path, means, choices, talk) if looks else _apply(path, means, choices, talk)
    )
    if made.is_empty:
        click.echo("No changes.", err=form == "json")
    elif detailed_exitcode:
        raise click.exceptions.Exit(CHANGES)


@click.command("drift", cls=Verb)
@flags.file_option
@flags.limit_option
@flags.concurrency_option
@click.option("--cleanup", is_flag=True, help="Also look for what is left on absent hosts")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="text or json"
)
def drift(path: Path, limit: str, concurrency: int, cleanup: bool, form: str) -> None:
    """Compare hosts and swarm with the cluster file, and change nothing.

    Ends with 0 if they are as it says, with 2 if not, with 1 if that cannot be told.
    """
    means = Means(flags.names(limit), concurrency)
    choices = Choices(limit=frozenset(means.limit), cleanup=cleanup)
    made = asyncio.run(_look(path, means, choices))
    if form == "json":
        click.echo(json.dumps(plan_text.document(made)))
        if made.refusals:
            raise click.exceptions.Exit(1)
    else:
        show(made, Talk(full=True))
    if not made.is_empty:
        raise click.exceptions.Exit(CHANGES)
    if form == "text":
        click.echo("No changes.")


def _plan(session: Session, seen: Seen, choices: Choices) -> Plan:
    carried = session.distribution.version
    missing = list(versions.not_to_be_had(session.wanted, seen, carried))
    if missing:
        raise invalid(
            "version",
            f"the file wants version {session.wanted.version}, and this is {carried}",
            why=f"{', '.join(missing)}: not there either",
            remedy="change it in the file, or give the wheel with --distribution FILE",
        )
    return plan(session.wanted, seen, choices)


async def _look(path: Path, means: Means, choices: Choices) -> Plan:
    async with opened(load(path), means) as session:
        return _plan(session, await session.look(), choices)


async def _compare(path: Path, means: Means, choices: Choices, talk: Talk) -> Plan:
    made = await _look(path, means, choices)
    show(made, talk)
    return made


async def _apply(path: Path, means: Means, choices: Choices, talk: Talk) -> Plan:
    async with opened(load(path), means) as session:
        return await work(session, "apply", talk, lambda seen: _plan(session, seen, choices))
