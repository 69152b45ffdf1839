"""Lists and single objects as text: Docker's tables, JSON, or a template. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.errors import invalid
from api.v1 import specs_pb2
from swarmctl.cli import templates

Row = Mapping[str, str]
GAP = 3
MIN_WIDTH = 10
"""Spaces after a column and its least width with them: Docker's settings of Go's tabwriter."""


@dataclass(frozen=True)
class Listing:
    """What a list command can show.

    `columns`: (field, heading) in the order of the default table; `more`: fields that only a
    template shows; `quiet`: the field that -q prints.
    """

    columns: tuple[tuple[str, str], ...]
    quiet: str
    more: tuple[tuple[str, str], ...] = ()

    def render(self, rows: Sequence[Row], form: str, *, quiet: bool = False) -> str:
        """The rows in the form that --format names: table, json, table TEMPLATE or TEMPLATE."""
        self.check(form)
        if quiet:
            return "".join(f"{row[self.quiet]}\n" for row in rows)
        if form == "table":
            return self._table([field for field, _ in self.columns], rows)
        if form == "json":
            return "".join(f"{json.dumps(dict(row))}\n" for row in rows)
        if form.startswith("table "):
            return self._table_of(form.removeprefix("table "), rows)
        return "".join(f"{templates.render(form, row)}\n" for row in rows)

    def check(self, form: str) -> None:
        """Refuses a format that names unknown fields; to be called before anything is asked."""
        if form not in ("table", "json"):
            known = {field: "" for field, _ in (*self.columns, *self.more)}
            templates.check(form.removeprefix("table "), known)

    def _table(self, fields: Sequence[str], rows: Sequence[Row]) -> str:
        return table(
            [self._headings[f] for f in fields], [[row[f] for f in fields] for row in rows]
        )

    def _table_of(self, template: str, rows: Sequence[Row]) -> str:
        headings = templates.headings(template, self._headings).split("\t")
        # A tab inside a value would be taken for the end of a cell.
        clean = [{field: printable(value) for field, value in row.items()} for row in rows]
        return table(headings, [templates.render(template, row).split("\t") for row in clean])

    @property
    def _headings(self) -> dict[str, str]:
        return dict((*self.columns, *self.more))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns under headings; the last column is not padded."""
    cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(MIN_WIDTH, max(map(len, column)) + GAP) for column in zip(*cells, strict=True)]
    widths[-1] = 0
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + "\n"
        for row in cells
    )


def pretty(pairs: Sequence[tuple[str, str]]) -> str:
    """`inspect --pretty`: a label and a value a line; a label with spaces before it is nested."""
    width = max((len(label) for label, _ in pairs), default=0) + 1
    return "".join(
        f"{label + ':':<{width}} {printable(value)}".rstrip() + "\n" for label, value in pairs
    )


def check_inspect(form: str, known: Mapping[str, object], *, pretty: bool = False) -> None:
    """Refuses a template that `inspect` could not fill, before anything is asked."""
    if pretty and form:
        raise invalid("format", "--format and --pretty exclude each other", remedy="give one")
    if form not in ("", "json"):
        templates.check(form, known)


def inspect(documents: Sequence[Mapping[str, object]], form: str) -> str:
    """`inspect`: a JSON array of whole documents, or a template filled from each."""
    if form in ("", "json"):
        return json.dumps(list(documents), indent=4) + "\n"
    return "".join(f"{templates.render(form, each)}\n" for each in documents)


def shortened(text: str, length: int, *, full: bool = False) -> str:
    """The text, cut to `length` with an ellipsis unless `full`, fit for a terminal."""
    text = printable(text)
    return text if full or len(text) <= length else f"{text[: length - 1]}…"


def image_of(spec: specs_pb2.ContainerSpec) -> str:
    """The image as nodes pull it: with its digest where it is pinned."""
    return spec.pinned_image.reference or spec.image


def short_image(name: str) -> str:
    """An image without its digest where it has a tag, as in Docker's lists."""
    reference, at, _ = name.partition("@")
    return reference if at and ":" in reference.rpartition("/")[2] else name


def printable(text: str) -> str:
    """The text without control characters: what a task says must not draw on the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key in which web2 comes before web10, as in Docker's lists."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
