"""Secrets and configs whose data is a template, which each task has filled in for itself (SwarmKit,
template/context.go). Pure.

Over what the placeholders of a spec may say they have the functions `secret`, `config` and `env`.
Managers refuse by a trial what no node could fill in, and nodes fill it in. Data that is no text
passes through as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from api.errors import invalid
from api.placeholders import specimen_values
from api.templates import FUNCTIONS, Function, Value, Values, expand
from api.v1 import types_pb2

GOLANG = "golang"
LIMIT = 1000 << 10
"""Characters that a template may grow to: as many as the largest config has bytes."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a secret or config, and what fills in its placeholders; empty: nothing does."""

    data: bytes = field(repr=False)
    template_driver: str = ""


def check(data: bytes, template_driver: str) -> None:
    """Refuses a driver that there is not, and a template that is wrong for every task: INVALID."""
    functions = dict.fromkeys(("secret", "config", "env"), _nothing)
    values = specimen_values(types_pb2.Annotations(name="service"))
    service = values["Service"]
    if isinstance(service, Mapping):
        values = {**values, "Service": {**service, "Labels": _AnyLabel()}}
    filled(Content(data, template_driver), values, functions)


def functions_of(
    secrets: Mapping[str, bytes], configs: Mapping[str, bytes], env: Iterable[str]
) -> Mapping[str, Function]:
    """What templates of one task may use. Its secrets and configs by the target that its spec says
    or else their name, as they are in the store; its environment as NAME=VALUE.
    """
    variables = {name: value for name, _, value in (each.partition("=") for each in env)}
    return {
        "secret": lambda arguments: _found("secret", secrets, arguments),
        "config": lambda arguments: _found("config", configs, arguments),
        # One that is not set is empty, as in SwarmKit.
        "env": lambda arguments: variables.get(_name(arguments), ""),
    }


def filled(content: Content, values: Values, functions: Mapping[str, Function]) -> bytes:
    """The data for a task. INVALID, with the field of the spec, if it cannot be made."""
    if not content.template_driver:
        return content.data
    if content.template_driver != GOLANG:
        raise invalid(
            "template_driver",
            f"there is no template driver {content.template_driver!r}",
            remedy=f"use {GOLANG}",
        )
    text = expand(
        _text(content.data),
        values,
        field="data",
        functions={**FUNCTIONS, **functions},
        limit=LIMIT,
    )
    return text.encode(errors="surrogateescape")


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _found(kind: str, files: Mapping[str, bytes], arguments: Sequence[Value]) -> str:
    target = _name(arguments)
    if target not in files:
        known = ", ".join(sorted(files)) or "none"
        raise ValueError(f"the task has no {kind} with that target; known are: {known}")
    return _text(files[target])


def _nothing(arguments: Sequence[Value]) -> str:
    _name(arguments)
    return ""


def _name(arguments: Sequence[Value]) -> str:
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise ValueError("it needs one text, the name")
    return arguments[0]


class _AnyLabel(Mapping[str, Value]):
    """Labels of a service that is not known yet: it may have each."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Value:
        return ""

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
