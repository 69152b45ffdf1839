"""Writes settings as TOML, which the standard library only reads: texts, numbers, switches, lists
and tables of these. Pure; the same settings give the same text.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from api.errors import invalid

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"


def toml(settings: Mapping[str, Any]) -> str:
    """The text, in the order of the names; INVALID for a value of another kind."""
    lines = [f"{_key(name)} = {_value(name, settings[name])}" for name in sorted(settings)]
    return "".join(f"{line}\n" for line in lines)


def _value(name: str, value: Any) -> str:  # noqa: ANN401 - what a caller says, of whatever kind
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(value)
        case float() if abs(value) < float("inf"):
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(_value(name, each) for each in value)}]"
        case Mapping():
            return _table(name, value)
    raise invalid(name, f"{value!r} cannot be a setting")


def _table(name: str, value: Mapping[Any, Any]) -> str:
    rows = [f"{_key(str(key))} = {_value(name, value[key])}" for key in sorted(value)]
    return f"{{ {', '.join(rows)} }}" if rows else "{}"


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _text(text)


def _text(text: str) -> str:
    # JSON's strings are TOML's but for one character; what is not ASCII stays as it is.
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")
