"""The page on events names every type, action and attribute there is, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.v1 import objects_pb2
from manager.control.events import MAX_READERS
from manager.events.history import MAX_BYTES, MAX_EVENTS
from manager.events.kinds import CREATE, REMOVE, TABLE
from manager.events.selection import Selection
from tests.support import builders

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()
SAMPLES = {
    objects_pb2.Task: builders.task("t1", node_id="n1"),
    objects_pb2.Node: builders.node("n1"),
}


def named(kind: type[Any]) -> Any:
    obj = kind()
    (obj if kind is objects_pb2.Operator else obj.spec.annotations).name = "some"
    return obj


def rows(heading: str) -> Iterator[list[list[str]]]:
    """The names in each cell of each row of the section's table."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [re.findall("`([^`]+)`", cell) for cell in line.strip("|").split("|")]


def documented() -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (kind, action): tuple(attributes)
        for (kind,), actions, attributes in rows("What is told")
        for action in actions
    }


def test_the_table_is_the_codes() -> None:
    expected: dict[tuple[str, str], tuple[str, ...]] = {}
    for kind, row in TABLE.items():
        always = tuple(row.always(SAMPLES.get(kind) or named(kind)))
        if "node.id" in always:
            always = (*always[:-1], "node", "node.id")  # the name is added where it is known
        expected |= {(row.word, action): always for action in (CREATE, REMOVE)}
        expected |= {(row.word, action): told for action, told in row.told.items()}
    assert documented() == expected


def test_every_key_of_a_filter_is_there() -> None:
    assert {key for keys, *_ in rows("Filters") for key in keys} == set(Selection.KEYS)


def test_the_limits_are_the_codes() -> None:
    assert f"the last {MAX_EVENTS:,}, or {MAX_BYTES >> 20} MiB" in PAGE
    assert f"serves {MAX_READERS} streams" in PAGE
