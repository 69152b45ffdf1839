"""Flags that the verbs for whole clusters have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from swarmctl.cli.options import DURATION, whole

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
file_option = click.option(
    "-f", "--file", "path", type=FILE, required=True, help="Cluster file (YAML)"
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
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask")
message_option = click.option(
    "-m", "--message", default="", help="What for, told to whoever finds the hosts locked"
)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


wait_options = together(
    click.option("--ready-timeout", type=DURATION, default="2m", help="For a node to be up [2m]"),
    click.option("--drain-timeout", type=DURATION, default="10m", help="For it to be empty [10m]"),
)


def names(text: str) -> tuple[str, ...]:
    """The hosts of --limit."""
    return tuple(each.strip() for each in text.split(",") if each.strip())
