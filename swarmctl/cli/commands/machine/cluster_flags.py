"""Flags that the verbs for whole clusters have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from swarmctl.cli.clusters.progress import FORMS
from swarmctl.cli.clusters.session import Means
from swarmctl.cli.options import DURATION, whole

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
file_option = click.option(
    "-f", "--file", "path", type=_FILE, required=True, help="Cluster file (YAML)"
)
limit_option = click.option(
    "--limit",
    default="",
    metavar="HOST,...",
    help="Change only these hosts; managers are looked at all the same",
)
concurrency_option = click.option(
    "--concurrency", type=whole(1, 100), default="10", help="Hosts at a time [10]"
)
distribution_option = click.option(
    "--distribution", type=_FILE, help="Wheel to install [what this swarmctl is]"
)
bundle_option = click.option(
    "--bundle", type=_FILE, help="Libraries for hosts that do not reach PyPI (make dist)"
)
progress_option = click.option(
    "--progress",
    type=click.Choice(FORMS),
    default="auto",
    help="json: an event a line, on standard output",
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask")
message_option = click.option(
    "-m", "--message", default="", help="What for, told to whoever finds the hosts locked"
)
detailed_option = click.option(
    "--detailed-exitcode", is_flag=True, help="End with 2 if there is something to change"
)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


means_options = together(limit_option, concurrency_option, distribution_option, bundle_option)
wait_options = together(
    click.option("--ready-timeout", type=DURATION, default="2m", help="For a node to be up [2m]"),
    click.option("--drain-timeout", type=DURATION, default="10m", help="For it to be empty [10m]"),
)


def names(text: str) -> tuple[str, ...]:
    """The hosts of --limit."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def means(limit: str, concurrency: int, distribution: Path | None, bundle: Path | None) -> Means:
    """What these flags give."""
    return Means(names(limit), concurrency, distribution, bundle)
