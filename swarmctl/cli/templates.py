"""The part of Go's templates that people use with `--format`: {{.Field}}, {{.Spec.Name}}, {{json
.}}, {{index .Labels "a.b"}}, and pipes between them. Pure. A field that does not exist is an error
that lists those that do, since a column that is silently empty is a trap in scripts.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from api.errors import Code, SwarmError
from swarmctl.cli.documents import Document, Entries

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ACTION = re.compile(
    rf'\{{\{{(?P<before>-\s)?(?P<text>(?:{_QUOTED}|[^"])*?)(?P<after>\s-)?\}}\}}', re.DOTALL
)
"""`before` and `after`: whether white space on that side of it is left out, by {{- and -}}."""
_WORD = re.compile(rf"{_QUOTED}|\||[^\s|]+")
_NUMBER = re.compile(r"-?\d{1,9}")
_ESCAPES = {r"\t": "\t", r"\n": "\n"}

Functions = Mapping[str, Callable[..., Any]]


def render(template: str, row: Any) -> str:  # noqa: ANN401 - any document
    """The template filled from a document or a row of texts."""
    return _filled(template, row, _FUNCTIONS)


def check(template: str, known: Mapping[str, Any]) -> None:
    """Refuses a template that cannot be filled, before anything is asked of anybody."""
    render(template, known)


def headings(template: str, names: Mapping[str, str]) -> str:
    """The template filled with the headings of its fields, which no function changes."""
    return _filled(template, names, dict.fromkeys(_FUNCTIONS, _unchanged))


def _filled(template: str, row: Any, functions: Functions) -> str:  # noqa: ANN401
    filled, end, trimmed = "", 0, False
    for match in _ACTION.finditer(template):
        between = _plain(template[end : match.start()], trimmed)
        filled += between.rstrip() if match["before"] else between
        filled += _text(_action(match["text"], row, functions))
        end, trimmed = match.end(), bool(match["after"])
    return filled + _plain(template[end:], trimmed)


def _plain(text: str, trimmed: bool) -> str:
    """What stands between actions. `trimmed`: without the white space that it begins with."""
    if "{{" in text:
        raise _bad(text[text.index("{{") :], "an action or a text in it is not closed", "write }}")
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text.lstrip() if trimmed else text


def _action(text: str, row: Any, functions: Functions) -> Any:  # noqa: ANN401
    piped: list[Any] = []
    for words in _stages(text):
        arguments = [_argument(word, row) for word in words[1:]]
        piped = [_stage(words[0], [*arguments, *piped], row, text, functions)]
    return piped[0]


def _stages(text: str) -> list[list[str]]:
    stages: list[list[str]] = [[]]
    for word in _WORD.findall(text):
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    if not all(stages):
        raise _bad(text, "an empty action")
    return stages


def _stage(
    word: str,
    arguments: list[Any],
    row: Any,  # noqa: ANN401
    text: str,
    functions: Functions,
) -> Any:  # noqa: ANN401
    if word.startswith((".", '"')):
        if arguments:
            raise _bad(text, f"{word} is no function and takes no arguments")
        return _argument(word, row)
    function = functions.get(word)
    if function is None:
        raise _bad(text, f"no function {word!r}", f"known are: {', '.join(sorted(functions))}")
    try:
        return function(*arguments)
    except (TypeError, AttributeError) as error:
        raise _bad(text, f"wrong arguments for {word}") from error


def _argument(word: str, row: Any) -> Any:  # noqa: ANN401
    if word.startswith('"'):
        try:
            return json.loads(word)
        except ValueError as error:
            raise _bad(word, "a text in double quotes is not well formed") from error
    if _NUMBER.fullmatch(word):
        return int(word)
    if not word.startswith("."):
        raise _bad(word, f"{word!r} is neither a .Field, a number nor a text in double quotes")
    value = row
    for name in filter(None, word.split(".")):
        value = _field(value, name, word)
    return value


def _field(value: Any, name: str, word: str) -> Any:  # noqa: ANN401
    try:
        if isinstance(value, Document):
            return value.value(name)
        if isinstance(value, Mapping):
            return value[name]
        known = "none"
    except KeyError:
        known = ", ".join(value.known() if isinstance(value, Document) else value) or "none"
    raise _bad(word, f"no field {name!r}", f"known here are: {known}")


def _text(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else json.dumps(value)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator)


def _join(values: Any, separator: str) -> str:  # noqa: ANN401
    return separator.join([] if values == "" else values)


def _index(value: Any, *keys: Any) -> Any:  # noqa: ANN401
    """A part of a map or a list, as {{index .Spec.Labels "a.b"}}; empty if it is not there, since
    which parts there are is known of no object before it is asked for.
    """
    for key in keys:
        if isinstance(value, list) and isinstance(key, int) and key >= 0:
            value = value[key] if key < len(value) else ""
        elif isinstance(value, Entries) and isinstance(key, str):
            value = value[key]
        else:
            raise TypeError
    return value


def _unchanged(value: Any, *_: Any) -> Any:  # noqa: ANN401
    return value


_FUNCTIONS: Functions = {
    "index": _index,
    "json": json.dumps,
    "join": _join,
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
