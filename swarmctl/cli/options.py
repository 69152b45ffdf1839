"""Options that many commands share, and the checks that turn their texts into values."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from swarmctl.cli import units

F = TypeVar("F", bound=Callable[..., Any])
MAX_COUNT = 2**63 - 1
MAX_UINT32 = 2**32 - 1

format_option = click.option(
    "--format", "form", default="table", metavar="FORMAT", help="table, json, or a template"
)
inspect_format = click.option(
    "-f", "--format", "form", default="", metavar="FORMAT", help="json, or a template"
)
pretty_option = click.option("--pretty", "as_text", is_flag=True, help="Print for people")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only print ids")
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Do not cut long values")


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
MOMENT = Parsed("time", lambda text: units.parse_moment(text, time.time_ns()))
"""In nanoseconds since the epoch; durations count back from now."""
BYTES = Parsed("bytes", units.parse_bytes)
CPUS = Parsed("decimal", units.parse_nano_cpus)


class Words(Parsed):
    """One of some words, as what it stands for. `values` gives them; the words complete."""

    def __init__(self, values: Mapping[str, Any], name: str = "choice") -> None:
        super().__init__(name, self._find)
        self._values = values

    def _find(self, text: str) -> Any:  # noqa: ANN401 - whatever the word stands for
        if text not in self._values:
            raise ValueError(f"{text!r} is none of {', '.join(self._values)}")
        return self._values[text]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin so."""
        return [CompletionItem(word) for word in self._values if word.startswith(incomplete)]


def choice(values: Mapping[str, Any]) -> Words:
    """One of these words, as what it stands for."""
    return Words(values)


def whole(least: int, most: int = MAX_COUNT) -> Parsed:
    """A whole number that fits into its field of a spec."""
    wanted = f"{least} or more" if most >= MAX_UINT32 else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?\d{1,19}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number, {wanted}")
        return int(text)

    return Parsed("number", parse)
