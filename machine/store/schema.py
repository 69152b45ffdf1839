"""How a machine stands in its file: JSON of a numbered form. Pure.

A newer form than this is refused, since what it says might be lost; an older one is brought up to
this one, step by step.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from api.errors import Code, SwarmError
from machine.store.machine import Machine, Phase, Wish, check_name
from machine.target import Target

Document = dict[str, Any]


class Schema(NamedTuple):
    """`form`: the one that is written; `migrations`: by a form, what makes the next one of it."""

    form: int
    migrations: Mapping[int, Callable[[Document], Document]]


PRESENT = Schema(form=1, migrations={})


class Read(NamedTuple):
    """A machine, and the form that its file had."""

    machine: Machine
    form: int


def encoded(machine: Machine, schema: Schema = PRESENT) -> bytes:
    """The content of its file."""
    document = {"form": schema.form, **asdict(machine), "phase": machine.phase.value}
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def decoded(content: bytes, where: str, schema: Schema = PRESENT) -> Read:
    """The machine in a file's content; `where`: what errors call the file.

    REFUSED if a newer swarmctl wrote it, INVALID if it is damaged.
    """
    try:
        document = json.loads(content, parse_constant=_no_number)
        found = int(document["form"])
        _refuse_newer(found, schema.form, where)
        for each in range(found, schema.form):
            document = schema.migrations[each](document)
        return Read(_machine(document), found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SwarmError(
            Code.INVALID,
            f"{where} cannot be read",
            why=f"{type(error).__name__}: {error}",
            remedy="put back a copy of it, or remove its folder and adopt the host again",
        ) from None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _refuse_newer(found: int, form: int, where: str) -> None:
    if found > form:
        raise SwarmError(
            Code.REFUSED,
            f"{where} is of a newer swarmctl",
            why=f"it has form {found}, and this version knows form {form}",
            remedy="use that version, or a newer one",
        )


def _machine(document: Document) -> Machine:
    """Of the present form. What is not known here is dropped; what is missing is a damage."""
    wish, target = document["wish"], document["target"]
    return Machine(
        name=check_name(_text(document, "name")),
        driver=_text(document, "driver"),
        options=_table(document, "options"),
        target=Target(
            host=_text(target, "host"),
            user=_text(target, "user"),
            port=int(target["port"]),
            key=_text(target, "key"),
            jump=_texts(target, "jump"),
            agent=bool(target["agent"]),
            host_key=_text(target, "host_key"),
        ),
        wish=Wish(
            version=_text(wish, "version"),
            settings=_table(wish, "settings"),
            labels={key: str(value) for key, value in _table(wish, "labels").items()},
            hostname=_text(wish, "hostname"),
        ),
        phase=Phase(document["phase"]),
        step=_text(document, "step"),
        error=_text(document, "error"),
        version=_text(document, "version"),
        api=_text(document, "api"),
        names=_texts(document, "names"),
        created=float(document["created"]),
        changed=float(document["changed"]),
    )


def _text(document: Document, key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value


def _texts(document: Document, key: str) -> tuple[str, ...]:
    value = document[key]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{key} is no list of texts")
    return tuple(value)


def _table(document: Document, key: str) -> Document:
    value = document[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is no table")
    return value
