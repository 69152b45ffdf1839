"""`swarmctl machine check`, `upgrade` and `rollback`, as they are called: for machines of the
store, each by itself, or with -f for nodes of a cluster file, with regard to each other.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from machine.swarm.choices import Choices
from machine.swarm.waits import Patience
from swarmctl.cli.clusters.carrying import Talk
from swarmctl.cli.clusters.session import Means
from swarmctl.cli.commands.machine import cluster_check, installing
from swarmctl.cli.commands.machine import cluster_flags as flags
from swarmctl.cli.commands.machine.cluster_roll import Roll, roll
from swarmctl.cli.commands.machine.drawing import progress_option
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.commands.machine.wishes import (
    bundle_option,
    distribution_option,
    dry_run_option,
    force_option,
)
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import whole

_names = click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=machine_names)
_file = click.option("-f", "--file", "path", type=flags.FILE, help="Cluster file (YAML)")
_all = click.option("--all", "every", is_flag=True, help="Every host of the cluster file")
_roll_options = flags.together(
    _all,
    flags.concurrency_option,
    flags.wait_options,
    click.option("--skip-unreachable", is_flag=True, help="Leave out workers not reached"),
    click.option("--no-drain", is_flag=True, help="Workers keep their tasks meanwhile"),
    click.option("--batch", type=whole(1, 100), default="1", help="Workers at once [1]"),
    flags.message_option,
    flags.yes_option,
    force_option,
)
_OF_CLUSTERS = (
    *("every", "concurrency", "ready_timeout", "drain_timeout", "skip_unreachable"),
    *("no_drain", "batch", "message", "yes", "to"),
)


@click.command("check", cls=Verb)
@_names
@_file
@flags.concurrency_option
@distribution_option
@bundle_option
def check(
    names: tuple[str, ...],
    path: Path | None,
    concurrency: int,
    wheel: Path | None,
    bundle: Path | None,
) -> None:
    """Tell what keeps hosts from being nodes, each with its remedy; change nothing.

    With -f of all hosts of a cluster file, and whether they reach each other.
    """
    if path is None:
        _of_machines(names)
        installing.check(names, wheel, bundle)
    else:
        cluster_check.check(path, Means(names, concurrency, wheel, bundle))


@click.command("upgrade", cls=Verb)
@_names
@_file
@_roll_options
@distribution_option
@bundle_option
@dry_run_option
@progress_option
def upgrade(
    names: tuple[str, ...],
    path: Path | None,
    wheel: Path | None,
    bundle: Path | None,
    dry_run: bool,
    form: str,
    **given: Any,  # noqa: ANN401 - the flags of a roll
) -> None:
    """Have hosts run this swarmctl's version, or that of a wheel.

    Where it does not come up, the version before it runs again. Managers one by one, and only while
    the others can do without them. With -f also the leader last, then workers, emptied before.
    """
    if path is None:
        _of_machines(names)
        installing.upgrade(names, wheel, bundle, form, dry_run=dry_run, force=given["force"])
    else:
        _not_forced(given)
        means = _means(names, given, wheel, bundle)
        roll(Roll(path, means, _choices(names, given), _talk(form, given), dry_run=dry_run))


@click.command("rollback", cls=Verb)
@_names
@_file
@_roll_options
@click.option("--to", default="", metavar="VERSION", help="Which one, if that is not clear")
@dry_run_option
@progress_option
def rollback(
    names: tuple[str, ...],
    path: Path | None,
    dry_run: bool,
    form: str,
    **given: Any,  # noqa: ANN401 - the flags of a roll
) -> None:
    """Have hosts run the version that they ran before, with its settings.

    One after another, as upgrade does.
    """
    if path is None:
        _of_machines(names)
        if dry_run:
            raise click.UsageError("--dry-run goes with -f")
        installing.rollback(names, form, force=given["force"])
    else:
        _not_forced(given)
        choices = _choices(names, given, goes_back=True)
        talk = _talk(form, given)
        roll(Roll(path, _means(names, given), choices, talk, dry_run=dry_run, to=given["to"]))


def _of_machines(names: Iterable[str]) -> None:
    """Refuses what has a meaning for clusters alone."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        is_given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if name in _OF_CLUSTERS and is_given:
            raise click.UsageError(f"{parameter.opts[0]} goes with -f")
    if not names:
        raise click.UsageError("name machines, or a cluster file with -f")


def _not_forced(given: dict[str, Any]) -> None:
    """A whole cluster is never left without a quorum."""
    if given["force"]:
        raise click.UsageError("--force goes without -f")


def _means(
    names: tuple[str, ...],
    given: dict[str, Any],
    wheel: Path | None = None,
    bundle: Path | None = None,
) -> Means:
    if bool(names) == given["every"]:
        raise click.UsageError("name hosts of the file, or say --all")
    patience = Patience(ready=given["ready_timeout"], drain=given["drain_timeout"])
    return Means(names, given["concurrency"], wheel, bundle, patience)


def _choices(names: tuple[str, ...], given: dict[str, Any], *, goes_back: bool = False) -> Choices:
    return Choices(
        limit=frozenset(names),
        may_skip=given["skip_unreachable"],
        drains=not given["no_drain"],
        batch=given["batch"],
        goes_back=goes_back,
    )


def _talk(form: str, given: dict[str, Any]) -> Talk:
    return Talk(form, yes=given["yes"], message=given["message"])
