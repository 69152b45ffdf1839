"""`inspect` of any noun whose objects are messages: in full, by a template, or as text."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import click
from google.protobuf.message import Message

from swarmctl.cli.documents import document
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.render import check_inspect, inspect

M = TypeVar("M", bound=Message)


def inspect_each(
    names: Iterable[str],
    get: Callable[[str], M],
    form: str,
    *,
    blank: M,
    as_text: Callable[[M], str] | None = None,
) -> None:
    """Prints what `get` finds; the failures of some names are told, and the others are shown.

    `blank`: an empty one, by which `form` is refused before anything is asked. `as_text`: how to
    write it with --pretty.
    """
    check_inspect(form, document(blank), pretty=as_text is not None)
    found, complete = for_each(names, get)
    if as_text is not None:
        click.echo("\n".join(as_text(each) for each in found), nl=False)
    else:
        click.echo(inspect([document(each) for each in found], form), nl=False)
    end(complete)
