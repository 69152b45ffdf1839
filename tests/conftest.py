"""Fixtures and hooks of every test: who may run what, and the table of scenarios."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT_MARKS = ("root", "cluster", "machines", "vm")
SCENARIOS = ("/cluster/", "/machines/", "/vm/")

# Started in the background, as by a job of a shell, this process ignores SIGINT, and so would every
# program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--scenario-report", help="write the table of scenarios to this file")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if any(item.get_closest_marker(mark) for mark in ROOT_MARKS):
            item.add_marker(skip)


class ScenarioTable:
    """Collects one row per test of whole hosts: what it shows, and how it went."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[str, str]] = {}  # by file and name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not any(folder in report.nodeid for folder in SCENARIOS):
            return
        file, _, test = report.nodeid.rpartition("::")
        name = (file, test.removeprefix("test_").replace("_", " "))
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.rows[name] = ("skipped", reason.removeprefix("Skipped: "))
        elif report.failed:
            self.rows[name] = ("FAILED", f"in {report.when}")
        elif report.when == "call":
            self.rows[name] = ("passed", f"{report.duration:.1f} s")

    def lines(self) -> Iterator[str]:
        width = max((len(name) for _, name in self.rows), default=0)
        # Files may have run side by side; the scenarios of one stay in their order.
        for (_, name), (outcome, note) in sorted(self.rows.items(), key=lambda row: row[0][0]):
            yield f"  {name:<{width}}  {outcome:<8}{note}"


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--scenario-report")
    if target and not hasattr(config, "workerinput"):  # what runs elsewhere is reported here
        table = ScenarioTable()
        config.pluginmanager.register(table, "scenario-table")


def pytest_sessionfinish(session: pytest.Session) -> None:
    table = session.config.pluginmanager.get_plugin("scenario-table")
    if isinstance(table, ScenarioTable):
        path = Path(session.config.getoption("--scenario-report"))
        path.write_text("".join(f"{line}\n" for line in table.lines()))
