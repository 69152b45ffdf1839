"""YAML as plain values, within limits: no tags, no key twice, no growth by aliases. Pure."""

from collections.abc import Hashable
from typing import Any

import yaml

from api.errors import SwarmError, invalid

LIMIT = 1 << 20
"""Bytes of a file."""
_ALIASES = 1000
_DEPTH = 50


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys, and follows aliases without end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._aliases = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Composes a node as the safe loader does, within the limits."""
        self._aliases += self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._aliases > _ALIASES or self._depth > _DEPTH:
            raise yaml.MarkedYAMLError(
                problem="it is nested too deeply or repeats itself too often",
                problem_mark=self.get_mark(),
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Constructs a mapping as the safe loader does, and refuses a key that is there twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(text: str, name: str) -> object:
    """The values of a document called `name`. INVALID, with line and column, if it is none."""
    if len(text) > LIMIT:
        raise invalid(name, f"{name} is longer than {LIMIT} characters")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    # A date that is none, and a number that is too long, are mere ValueErrors.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> SwarmError:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no YAML"
    return invalid(name, f"cannot read {name}", why=f"{where}{problem}")
