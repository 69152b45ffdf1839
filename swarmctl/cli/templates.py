"""The part of Go's templates that people use with `--format`: {{.Field}}, {{.Spec.Name}}, {{json
.}}, {{upper .Name}}, and pipes between them. Pure. A field that does not exist is an error that
lists those that do, since a column that is silently empty is a trap in scripts.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from api.errors import Code, SwarmError

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_ESCAPES = {r"\t": "\t", r"\n": "\n"}


def render(template: str, row: Any) -> str:  # noqa: ANN401 - any document
    """The template filled from a document or a row of texts."""
    for escape, character in _ESCAPES.items():
        template = template.replace(escape, character)
    return _ACTION.sub(lambda match: _text(_action(match[1], row)), template)


def check(template: str, known: Mapping[str, Any]) -> None:
    """Refuses a template that names unknown fields, before anything is asked of anybody."""
    render(template, known)


def fields(template: str) -> list[str]:
    """The fields that a template shows, in order: what heads a table's columns."""
    return [
        word.rpartition(".")[2]
        for action in _ACTION.findall(template)
        for word in _WORD.findall(action)
        if word.startswith(".") and len(word) > 1
    ]


def _action(text: str, row: Any) -> Any:  # noqa: ANN401
    value: Any = None
    for number, stage in enumerate(text.split("|")):
        words = _WORD.findall(stage)
        if not words:
            raise _bad(text, "an empty action")
        arguments = [_argument(word, row) for word in words[1:]]
        if number:
            arguments.append(value)
        value = _stage(words[0], arguments, row, text)
    return value


def _stage(word: str, arguments: list[Any], row: Any, text: str) -> Any:  # noqa: ANN401
    if word.startswith((".", '"')):
        return _argument(word, row)
    function = _FUNCTIONS.get(word)
    if function is None:
        raise _bad(text, f"no function {word!r}", f"known are: {', '.join(sorted(_FUNCTIONS))}")
    try:
        return function(*arguments)
    except (TypeError, AttributeError) as error:
        raise _bad(text, f"wrong arguments for {word}") from error


def _argument(word: str, row: Any) -> Any:  # noqa: ANN401
    if word.startswith('"'):
        return json.loads(word)
    if not word.startswith("."):
        raise _bad(word, f"{word!r} is neither a .Field nor a text in double quotes")
    value = row
    for name in filter(None, word.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            known = ", ".join(value) if isinstance(value, Mapping) else "none"
            raise _bad(word, f"no field {name!r}", f"known here are: {known}")
        value = value[name]
    return value


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": json.dumps,
    "join": lambda values, separator: separator.join(values),
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "split": _split,
    "println": lambda *values: " ".join(map(_text, values)) + "\n",
}


def _bad(where: str, why: str, remedy: str = "") -> SwarmError:
    return SwarmError(
        Code.INVALID, f"the template is wrong at {where!r}", why=why, remedy=remedy, field="format"
    )
