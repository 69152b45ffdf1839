"""`swarmctl machine upgrade` and `rollback` of nodes of a cluster file, as they are called."""

from pathlib import Path
from typing import Any

import click

from machine.swarm.choices import Choices
from machine.swarm.waits import Patience
from swarmctl.cli.clusters.carrying import Talk
from swarmctl.cli.clusters.session import Means
from swarmctl.cli.commands.machine import cluster_flags as flags
from swarmctl.cli.commands.machine.cluster_roll import Roll, roll
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import whole

_roll_options = flags.together(
    click.argument("names", nargs=-1, metavar="[HOST...]"),
    flags.file_option,
    click.option("--all", "every", is_flag=True, help="Every node of the file"),
    flags.concurrency_option,
    flags.wait_options,
    click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing"),
    click.option("--skip-unreachable", is_flag=True, help="Leave out workers not reached"),
    click.option("--no-drain", is_flag=True, help="Workers keep their tasks meanwhile"),
    click.option("--batch", type=whole(1, 100), default="1", help="Workers at once [1]"),
    flags.message_option,
    flags.progress_option,
    flags.yes_option,
)


@click.command("upgrade", cls=Verb)
@_roll_options
@flags.distribution_option
@flags.bundle_option
def upgrade(distribution: Path | None, bundle: Path | None, **given: Any) -> None:  # noqa: ANN401
    """Bring nodes to the version of this swarmctl, one after another.

    Managers first and the leader last, never without a quorum; then workers, emptied before. A
    node that does not come up goes back to its version, and the upgrade ends there.
    """
    roll(_asked(given, distribution=distribution, bundle=bundle))


@click.command("rollback", cls=Verb)
@_roll_options
@click.option("--to", default="", metavar="VERSION", help="Which, if that is not clear")
def rollback(to: str, **given: Any) -> None:  # noqa: ANN401
    """Bring nodes back to the version that they ran before, in the order of an upgrade."""
    roll(_asked(given, goes_back=True, to=to))


def _asked(
    given: dict[str, Any],
    *,
    distribution: Path | None = None,
    bundle: Path | None = None,
    goes_back: bool = False,
    to: str = "",
) -> Roll:
    names: tuple[str, ...] = given["names"]
    if bool(names) == given["every"]:
        raise click.UsageError("name hosts of the file, or say --all")
    patience = Patience(ready=given["ready_timeout"], drain=given["drain_timeout"])
    choices = Choices(
        limit=frozenset(names),
        may_skip=given["skip_unreachable"],
        drains=not given["no_drain"],
        batch=given["batch"],
        goes_back=goes_back,
    )
    return Roll(
        given["path"],
        Means(names, given["concurrency"], distribution, bundle, patience),
        choices,
        Talk(given["progress"], yes=given["yes"]),
        given["message"],
        given["dry_run"],
        to,
    )
