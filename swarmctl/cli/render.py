"""Lists and single objects as text: Docker's tables, JSON, or a template. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmctl.cli import templates

Row = Mapping[str, str]
GAP = 3
"""Spaces between columns, as Docker's."""


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
        headings = [self._headings[field] for field in templates.fields(template)]
        return table(headings, [templates.render(template, row).split("\t") for row in rows])

    @property
    def _headings(self) -> dict[str, str]:
        return dict((*self.columns, *self.more))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns under headings; the last column is not padded."""
    cells = [[_clean(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) + GAP for column in zip(*cells, strict=True)]
    if widths:
        widths[-1] = 0
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in cells
    )


def pretty(pairs: Sequence[tuple[str, str]]) -> str:
    """`inspect --pretty`: a label and a value a line; a label with spaces before it is nested."""
    width = max((len(label) for label, _ in pairs), default=0) + 1
    return "".join(f"{label + ':':<{width}} {value}".rstrip() + "\n" for label, value in pairs)


def inspect(documents: Sequence[Mapping[str, object]], form: str) -> str:
    """`inspect`: a JSON array of whole documents, or a template filled from each."""
    if form in ("", "json"):
        return json.dumps(list(documents), indent=4) + "\n"
    return "".join(f"{templates.render(form, each)}\n" for each in documents)


def shortened(text: str, length: int, *, full: bool = False) -> str:
    """The text, cut to `length` with an ellipsis unless `full`."""
    return text if full or len(text) <= length else f"{text[: length - 1]}…"


def _clean(cell: str) -> str:
    # What a task says of itself must not draw on the terminal.
    return "".join(c if c.isprintable() else " " for c in cell)
