"""`--filter KEY=VALUE`: each verb that lists has a table of its keys; here is how they are read.

A filter is sent with the request and holds where the objects are, so that what nobody wants to see
never travels. Of several values of one key one is enough, labels have all to hold, and so have the
keys: as in Docker. What no table names is refused, never ignored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from google.protobuf.message import Message


@dataclass(frozen=True)
class Key:
    """One key: the field of the request that takes its values, and how a value is read.

    `read` raises ValueError with what to write instead.
    """

    field: str
    read: Callable[[str], Sequence[Any]]


Table = Mapping[str, Key]
Asked = Mapping[str, Sequence[Any]]
"""The values that a field of the request is to have."""

F = TypeVar("F", bound=Callable[..., Any])


def filter_option(table: Table) -> Callable[[F], F]:
    """The option of a verb with these keys."""
    known = f"Show only what matches; keys: {', '.join(table)}"
    return click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=known)


def text(field: str) -> Key:
    """A key whose values are sent as they are."""
    return Key(field, lambda value: (value,))


def label(field: str) -> Key:
    """A key whose values are labels: KEY, or KEY=VALUE."""

    def read(value: str) -> Sequence[str]:
        if not value.partition("=")[0]:
            raise ValueError(f"{value!r}: use the key of a label, or KEY=VALUE")
        return (value,)

    return Key(field, read)


def words(field: str, meanings: Mapping[str, Sequence[Any]]) -> Key:
    """A key whose values are some words; each stands for one or more values of the field."""

    def read(value: str) -> Sequence[Any]:
        if value not in meanings:
            raise ValueError(f"{value!r}: use one of {', '.join(meanings)}")
        return meanings[value]

    return Key(field, read)


def read_filters(given: Iterable[str], table: Table) -> Asked:
    """What the flags ask for, by field of the request; a usage error for what is in no table."""
    asked: dict[str, list[Any]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        key = table.get(name)
        if key is None or not equals:
            raise click.BadParameter(
                f"{each!r}: use KEY=VALUE with one of the keys {', '.join(table)}",
                param_hint="--filter",
            )
        try:
            asked.setdefault(key.field, []).extend(key.read(value))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"--filter {name}") from None
    return asked


def narrow(request: Message, asked: Asked) -> None:
    """Writes what is asked for into the request of a list."""
    for field, values in asked.items():
        getattr(request, field).extend(values)


def rows_that_match(rows: Iterable[Mapping[str, str]], asked: Asked) -> list[Mapping[str, str]]:
    """The same for lists that are made here, by no daemon: values are prefixes of a row's cells."""
    return [
        row
        for row in rows
        if all(row[field].startswith(tuple(values)) for field, values in asked.items())
    ]
