"""Placeholders in texts, as {{.Node.Hostname}}: the part of Go's templates that Docker users write.

Fields, texts in quotes, numbers, parentheses, pipes, functions, and {{- -}}, which take away the
white space beside them. No conditions and no loops. What does not exist is an error, never an
empty text. Pure; which values and functions there are is the caller's to say.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

from api.errors import invalid

Value: TypeAlias = "str | int | Mapping[str, Value]"
Values = Mapping[str, Value]
Function = Callable[[Sequence[Value]], Value]
"""Gets its arguments; ValueError, with the reason for people, if it can make nothing of them."""

MAX_TEXT = 256 << 10
"""Characters that a text may grow to unless its reader says otherwise; that of a whole spec."""
_MAX_DEPTH = 16
_MOST_WORK = 16
"""How many times the limit functions may make, all together."""
_SHOWN = 60
_OPEN = re.compile(r"\{\{(?:-\s)?")
_TOKEN = re.compile(
    r"""\s*(?: (?P<close>\s-\}\}|\}\})
          | (?P<field>(?:\.[^\W\d]\w*)+)
          | (?P<text>"(?:[^"\\\n]|\\.)*")
          | (?P<raw>`[^`]*`)
          | (?P<number>-?\d{1,18}\b)
          | (?P<name>[^\W\d]\w*)
          | (?P<mark>[|()]) )""",
    re.VERBOSE,
)


def expand(
    text: str,
    values: Values,
    *,
    field: str,
    functions: Mapping[str, Function] | None = None,
    limit: int = MAX_TEXT,
) -> str:
    """The text with its placeholders filled in.

    `functions`: instead of FUNCTIONS. INVALID for `field` if a placeholder is wrong, or the outcome
    has over `limit` characters.
    """
    if "{{" not in text:
        return text
    known = FUNCTIONS if functions is None else functions
    try:
        return _Reader(text, values, known, limit).all()
    except ValueError as error:
        raise invalid(
            field, f"a placeholder in {_short(text)!r} is wrong", why=str(error)
        ) from error


class _Reader:
    """Reads one text from its beginning to its end, and evaluates as it goes."""

    def __init__(
        self, text: str, values: Values, functions: Mapping[str, Function], limit: int
    ) -> None:
        self._text = text
        self._values = values
        self._functions = functions
        self._limit = limit
        self._parts: list[str] = []
        self._size = 0
        self._work = 0  # characters that functions have made, though they may be used nowhere
        self._at = 0
        self._kind = ""
        self._word = ""

    def all(self) -> str:
        """The whole text, filled in."""
        trim = False
        while opening := _OPEN.search(self._text, self._at):
            plain = self._text[self._at : opening.start()]
            plain = plain.lstrip() if trim else plain
            self._add(plain.rstrip() if len(opening[0]) > len("{{") else plain)
            self._at = opening.end()
            self._add(self._action())
            trim = self._word != "}}"
        rest = self._text[self._at :]
        self._add(rest.lstrip() if trim else rest)
        return "".join(self._parts)

    def _add(self, part: str) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            raise ValueError(f"it grows to more than {self._limit} characters")

    def _action(self) -> str:
        self._next()
        value = self._pipeline(0)
        if self._kind != "close":
            raise ValueError(f"{self._word!r} is not expected")
        return _printed(value)

    def _pipeline(self, depth: int) -> Value:
        if depth > _MAX_DEPTH:
            raise ValueError("its parentheses are nested too deeply")
        value = self._command(depth, [])
        while self._word == "|":
            self._next()
            value = self._command(depth, [value])
        return value

    def _command(self, depth: int, piped: list[Value]) -> Value:
        """A function with its arguments, the piped one last; or a single operand."""
        if self._kind != "name":
            if piped:
                raise ValueError("what follows | must be a function")
            return self._operand(depth)
        name = self._word
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(sorted(self._functions))
            raise ValueError(f"there is no function {name}; known are: {known}")
        self._next()
        arguments: list[Value] = []
        while self._kind not in ("close", "mark") or self._word == "(":
            arguments.append(self._operand(depth))
        try:
            value = function([*arguments, *piped])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self._work += len(value) if isinstance(value, str) else 1
        if self._work > _MOST_WORK * self._limit:
            raise ValueError("its functions make too much text")
        return value

    def _operand(self, depth: int) -> Value:
        kind, word = self._kind, self._word
        if word == "(":
            self._next()
            value = self._pipeline(depth + 1)
            if self._word != ")":
                raise ValueError("a parenthesis is not closed")
        elif kind == "field":
            value = _looked_up(self._values, word)
        elif kind == "text":
            value = _unquoted(word)
        elif kind == "raw":
            value = word[1:-1]
        elif kind == "number":
            value = int(word)
        elif kind == "close":
            raise ValueError("it is empty")
        else:
            raise ValueError(f"{word!r} is not expected")
        self._next()
        return value

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            self._refuse()
        self._at = found.end()
        self._kind = found.lastgroup or ""
        self._word = found[self._kind]

    def _refuse(self) -> NoReturn:
        rest = self._text[self._at :].strip()
        raise ValueError(f"it cannot be read at {_short(rest)!r}" if rest else "}} is missing")


def _looked_up(values: Values, path: str) -> Value:
    value: Value = values
    for name in path[1:].split("."):
        value = _entry(value, name, path)
    return value


def _entry(value: Value, name: str, where: str) -> Value:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: a text has no field {name}")
    if name not in value:
        known = ", ".join(sorted(value)) or "none"
        raise ValueError(f"{where}: there is no {name}; known are: {_short(known)}")
    return value[name]


def _unquoted(word: str) -> str:
    try:
        text: str = json.loads(word)
    except ValueError as error:
        raise ValueError(f"{_short(word)} is not well formed") from error
    return text


def _printed(value: Value) -> str:
    if isinstance(value, Mapping):
        known = ", ".join(sorted(value)) or "none"
        raise ValueError(f"it means several values, of which one must be chosen: {_short(known)}")
    return str(value)


def _join(arguments: Sequence[Value]) -> str:
    """The texts after the first one with the first one between them (SwarmKit, template)."""
    if not arguments:
        raise ValueError("it needs a separator")
    separator, *rest = map(_printed, arguments)
    if len(separator) * len(rest) + sum(map(len, rest)) > MAX_TEXT:
        raise ValueError(f"it makes more than {MAX_TEXT} characters")
    return separator.join(rest)


def _index(arguments: Sequence[Value]) -> Value:
    """What a map has under a key, which need not be a word, as that of a label."""
    if len(arguments) < 2:  # noqa: PLR2004
        raise ValueError("it needs a map and a key")
    value, *keys = arguments
    for key in keys:
        value = _entry(value, _printed(key), "its map")
    return value


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


FUNCTIONS: Mapping[str, Function] = {"index": _index, "join": _join}
"""What every text may use."""
