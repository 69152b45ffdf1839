"""Options that many commands share, and the checks that turn their texts into values."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from swarmctl.cli import units

F = TypeVar("F", bound=Callable[..., Any])

format_option = click.option(
    "--format", "form", default="table", metavar="FORMAT", help="table, json, or a template"
)
inspect_format = click.option(
    "-f", "--format", "form", default="", metavar="FORMAT", help="json, or a template"
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only print ids")
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Do not cut long values")
filter_option = click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Show only what matches"
)


def parse_filters(given: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Filters by key: several values of one key are alternatives; usage error for unknown keys."""
    parsed: dict[str, list[str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise click.BadParameter(
                f"{text!r}: use KEY=VALUE with one of the keys {', '.join(known)}",
                param_hint="--filter",
            )
        parsed.setdefault(key, []).append(value)
    return parsed


def pairs(values: Iterable[str], flag: str) -> dict[str, str]:
    """KEY=VALUE texts as a mapping; a KEY alone has an empty value, as a label may."""
    parsed = {}
    for text in values:
        key, _, value = text.partition("=")
        if not key:
            raise click.BadParameter(f"{text!r}: use KEY=VALUE", param_hint=flag)
        parsed[key] = value
    return parsed


class Parsed(click.ParamType[Any]):
    """A parameter type made of a parser that raises ValueError with what to write instead."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - whatever the parser gives
        """The parsed value; a usage error if it cannot be parsed."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Parsed("duration", units.parse_duration)
BYTES = Parsed("bytes", units.parse_bytes)
CPUS = Parsed("decimal", units.parse_nano_cpus)


def choice(values: Mapping[str, Any], name: str = "choice") -> Parsed:
    """One of these words, as what it stands for."""

    def parse(text: str) -> Any:  # noqa: ANN401
        if text not in values:
            raise ValueError(f"{text!r} is none of {', '.join(values)}")
        return values[text]

    return Parsed(name, parse)
