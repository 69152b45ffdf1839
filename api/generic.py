"""Generic resources as a node's owner declares them, and as a container learns of them. Pure.

`apple=4` is a count; `gpu=UUID1`, `gpu=UUID2` are names, of which tasks are given some each.
Several may stand in one text, with commas between. The forms are Docker's (SwarmKit,
api/genericresource).
"""

import re
from collections.abc import Iterable

from api.errors import Code, SwarmError
from api.v1 import types_pb2

KIND = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
"""A kind becomes part of a variable's name."""
MAX_COUNT = 2**31


def declared(texts: Iterable[str]) -> list[types_pb2.GenericResource]:
    """What the texts declare, by kind in their order; INVALID where they make no sense."""
    values: dict[str, list[str]] = {}
    for text in (part for each in texts for part in each.split(",")):
        kind, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not KIND.fullmatch(kind) or not value or not value.isprintable():
            raise _refusal(text, "it is not of the form KIND=COUNT or KIND=NAME")
        values.setdefault(kind, []).append(value)
    return [_resource(kind, names) for kind, names in values.items()]


def environment(given: Iterable[types_pb2.GenericResource]) -> list[str]:
    """The variables by which a container learns what its task was given."""
    return [
        f"DOCKER_RESOURCE_{each.kind.upper()}={','.join(each.ids) or each.count}" for each in given
    ]


def _resource(kind: str, values: list[str]) -> types_pb2.GenericResource:
    if any(value.isdecimal() for value in values):
        if len(values) > 1:
            raise _refusal(f"{kind}={values[1]}", f"{kind} has a count, or names, but not both")
        if int(values[0]) > MAX_COUNT:
            raise _refusal(f"{kind}={values[0]}", f"the count is above {MAX_COUNT}")
        return types_pb2.GenericResource(kind=kind, count=int(values[0]))
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise _refusal(f"{kind}={twice}", "it is given twice")
    return types_pb2.GenericResource(kind=kind, ids=values)


def _refusal(text: str, why: str) -> SwarmError:
    return SwarmError(
        Code.INVALID,
        f"{text!r} is no generic resource",
        why=why,
        remedy="write apple=4 for a count, or gpu=UUID1 and gpu=UUID2 for names",
    )
