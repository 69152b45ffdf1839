"""Flags that say what a host is to be like, and what is sent to it."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from api.errors import invalid
from machine.store.machine import Wish
from swarmctl.cli.options import pairs

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

distribution_option = click.option(
    "--distribution", "wheel", type=_FILE, help="Wheel to install [what this swarmctl is]"
)
bundle_option = click.option(
    "--bundle", type=_FILE, help="Libraries for hosts that do not reach PyPI (make dist)"
)
force_option = click.option(
    "--force", is_flag=True, help="Restart a manager though the others cannot do without it"
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be done, and change nothing"
)


def wish_options(command: F) -> F:
    """Adds the flags of a wish; docker-machine's words for them are known, too."""
    for option in reversed(
        (
            click.option(
                "--setting",
                "--engine-opt",
                "settings",
                multiple=True,
                metavar="KEY=VALUE",
                help="Line of the host's swarmd.toml; repeatable",
            ),
            click.option(
                "--label",
                "--engine-label",
                "labels",
                multiple=True,
                metavar="KEY=VALUE",
                help="Label of the host's engine; repeatable",
            ),
            click.option(
                "--insecure-registry",
                "--engine-insecure-registry",
                "registries",
                multiple=True,
                metavar="HOST[:PORT]",
                help="Registry without TLS; repeatable",
            ),
        )
    ):
        command = option(command)
    return command


def wish(settings: Iterable[str], labels: Iterable[str], registries: Iterable[str]) -> Wish:
    """What these flags ask for; INVALID for what swarmd would not take."""
    given = {key: _value(text) for key, text in pairs(settings, "--setting").items()}
    if chosen := list(registries):
        given["insecure_registries"] = [*given.get("insecure_registries", []), *chosen]
    check(given)
    return Wish(settings=given, labels=pairs(labels, "--label"))


def check(settings: dict[str, Any]) -> None:
    """INVALID unless the daemon takes these settings, before any host gets them."""
    from swarmctl.settings import Settings, load  # noqa: PLC0415 - it knows the daemon's networks

    known = sorted(each.name for each in fields(Settings))
    for name in settings:
        if name not in known:
            raise invalid(
                "setting", f"there is no setting {name}", why=f"known are: {', '.join(known)}"
            )
    load(Path("/dev/null"), settings)


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML has
    """What TOML reads, as 8, true or ["a"]; else the text itself."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
