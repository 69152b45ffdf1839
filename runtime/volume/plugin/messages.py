"""What plugins answer, read with suspicion: a malformed or boundless answer is a Lie. Pure.

Names of fields are taken in any case, as Docker's decoder does; fields that nobody knows are
ignored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from runtime.volume.driver import Scope

IMPLEMENTS = "VolumeDriver"
ANSWER_LIMIT = 4 << 20
"""Bytes of one answer: a list of ten thousand volumes fits."""
_PATH_LIMIT = 4096
_NAME_LIMIT = 1024
_TOLD_LENGTH = 500
_MAX_VOLUMES = 10_000

Answer = Mapping[str, Any]
"""An answer, its fields by their names in lower case."""


class Lie(Exception):
    """What is wrong with an answer, in a few words."""


@dataclass(frozen=True, slots=True)
class Told:
    """A volume as a plugin tells of it; `path` is empty, or absolute and without `..`."""

    name: str
    path: str = ""
    created_at: str = ""
    status: Mapping[str, object] | None = None


def read(body: bytes) -> Answer:
    """The answer as an object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Lie("it did not answer with JSON") from None
    if not isinstance(document, dict):
        raise Lie("it did not answer with a JSON object")
    return _folded(document)


def refusal(answer: Answer) -> str:
    """What the plugin says went wrong; empty: nothing did."""
    error = answer.get("err")
    if error is None:
        return ""
    if not isinstance(error, str):
        raise Lie("its Err is not a text")
    return readable(error)


def readable(text: str) -> str:
    """A text of a stranger as it may stand in an error: one line, not long, no control codes."""
    shown = "".join(char if char.isprintable() else " " for char in text[:_TOLD_LENGTH])
    return " ".join(shown.split())


def implements(answer: Answer) -> Sequence[str]:
    """What a plugin says in the handshake that it is."""
    kinds = answer.get("implements")
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise Lie("its handshake does not say what it implements")
    return kinds


def mountpoint(answer: Answer) -> str:
    """Where it says that the volume is; empty: nowhere."""
    return _path(answer.get("mountpoint"))


def volume(answer: Answer) -> Told | None:
    """The volume it tells of; None: it knows none of that name."""
    given = answer.get("volume")
    return None if given is None else _told(given)


def volumes(answer: Answer) -> list[Told]:
    """All that it tells of."""
    given = answer.get("volumes")
    if given is None:
        return []
    if not isinstance(given, list):
        raise Lie("its Volumes are not a list")
    if len(given) > _MAX_VOLUMES:
        raise Lie(f"it tells of more than {_MAX_VOLUMES} volumes")
    return [_told(one) for one in given]


def scope(answer: Answer) -> Scope:
    """Local, unless it says global, as in Docker."""
    given = answer.get("capabilities")
    said = _folded(given).get("scope") if isinstance(given, dict) else None
    is_global = isinstance(said, str) and said.lower() == Scope.GLOBAL.value
    return Scope.GLOBAL if is_global else Scope.LOCAL


def _told(given: object) -> Told:
    if not isinstance(given, dict):
        raise Lie("a volume of its answer is not an object")
    fields = _folded(given)
    name = fields.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT or not name.isprintable():
        raise Lie("a volume of its answer has no proper name")
    created = fields.get("createdat")
    status = fields.get("status")
    return Told(
        name,
        _path(fields.get("mountpoint")),
        readable(created) if isinstance(created, str) else "",
        status if isinstance(status, dict) else None,
    )


def _path(given: object) -> str:
    if given is None or given == "":
        return ""
    if not isinstance(given, str):
        raise Lie("its Mountpoint is not a text")
    if len(given) > _PATH_LIMIT or not given.isprintable():
        raise Lie("its Mountpoint is not a path")
    path = PurePosixPath(given)
    if not path.is_absolute() or ".." in path.parts:
        raise Lie(f"its Mountpoint {readable(given)!r} is not an absolute path without ..")
    return str(path)


def _folded(document: dict[str, Any]) -> Answer:
    return {key.lower(): value for key, value in document.items()}
