"""The results file keeps what was not measured again; the table says what was missed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.figure import UNKNOWN, Figure, Measured, line

FIGURES = {
    "one": Figure("one", "the first", "s", 0.5, "1.2", "here"),
    "two": Figure("two", "the second", "1/s", 400, "900", "there", better="higher"),
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "TABLE", tmp_path / "docs/figures.md")


def measured(name: str, value: float) -> dict[str, object]:
    return line(FIGURES[name], Measured([value], {"echo": 7.0}), load=0.5, on="2026-01-01")


def values() -> dict[str, float]:
    found = json.loads(report.RESULTS.read_text())
    return {each["figure"]: each["value"] for each in found["figures"]}


def test_a_later_run_replaces_its_own_figures_alone() -> None:
    report.keep([measured("two", 500), measured("one", 0.4)], FIGURES)
    report.keep([measured("one", 0.3)], FIGURES)
    assert list(values().items()) == [("one", 0.3), ("two", 500)]
    assert report.TABLE.read_text().count("| `") == 2


def test_figures_of_another_machine_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    report.keep([measured("two", 500)], FIGURES)
    monkeypatch.setattr(report, "machine", lambda: "another")
    report.keep([measured("one", 0.3)], FIGURES)
    assert values() == {"one": 0.3}


def test_the_table_says_what_was_missed_and_what_stands_beside() -> None:
    table = report.table([measured("one", 0.6), measured("two", 500)], FIGURES, "a machine")
    missed, met = table.splitlines()[-2:]
    assert "**0.6 s** (missed); beside: echo 7" in missed
    assert met == (
        "| `two` | the second | 900 1/s | 400 1/s | **500 1/s**; beside: echo 7 | 0.5 | there |"
    )
    assert "Machine: a machine." in table


def test_what_docker_needs_is_left_open_where_it_was_not_measured() -> None:
    figures = {"one": replace(FIGURES["one"], docker=UNKNOWN)}
    row = report.table([measured("one", 0.4)], figures, "a machine").splitlines()[-1]
    assert row.split(" | ")[2] == "-"
