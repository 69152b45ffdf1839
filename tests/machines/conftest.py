"""Bare hosts for the tests here: a lab per run, fresh hosts per test."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.machine_hosts import suite
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import DEFAULT, MachineLab, MakeHosts, machine_lab
from tests.support.whole_machine import (  # noqa: F401 - hooks of pytest
    pytest_configure_node,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

# Told to end, a run of tests takes down what it made, as it does at Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


_TIME = pytest.mark.timeout(300, func_only=True)
"""For a test alone: the tree of all hosts may have to be made before the first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("machines") and not item.get_closest_marker("timeout"):
            item.add_marker(_TIME)


@pytest.fixture(scope="session")
def machine_lab_of_run() -> Iterator[MachineLab]:
    """One network and server of packages for the whole run, of each of its workers."""
    name = os.environ.get("PYTEST_XDIST_WORKER", DEFAULT)
    with machine_lab(name, suite.chosen()) as lab:
        yield lab


@pytest.fixture
def lab(machine_lab_of_run: MachineLab) -> Iterator[MachineLab]:
    """The lab, with all its packages to be had."""
    yield machine_lab_of_run
    machine_lab_of_run.packages.closed.clear()


@pytest.fixture
def machine_hosts(lab: MachineLab) -> Iterator[MakeHosts]:
    """machine_hosts("h1", HostForm("h2", disk=900)): fresh hosts, which end with the test."""
    with ExitStack() as ends:

        def make(*forms: str | HostForm) -> list[MachineHost]:
            wanted = [HostForm(each) if isinstance(each, str) else each for each in forms]
            return ends.enter_context(lab.hosts(*wanted))

        yield make
