"""Virtual machines for the tests here: a lab per run, fresh machines per module."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.machine_hosts.lab import MachineLab, machine_lab
from tests.support.machine_vms.template import template
from tests.support.machine_vms.together import virtual_machines
from tests.support.machine_vms.vm import VirtualMachine
from tests.support.whole_machine import (  # noqa: F401 - hooks of pytest
    pytest_configure_node,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

# Told to end, a run of tests takes down what it made, as it does at Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)

_TIME = pytest.mark.timeout(3600, func_only=True)
"""For a test alone, on an emulated processor."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(_TIME)


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[MachineLab]:
    """The network of the machines, with what serves packages there."""
    template()
    with machine_lab("vms") as lab:
        yield lab


@pytest.fixture(scope="module")
def three_vms(vm_lab: MachineLab) -> Iterator[list[VirtualMachine]]:
    """Bare Debian, three times; what one test of a module does to them, the next one finds."""
    with virtual_machines(vm_lab, "v1", "v2", "v3") as machines:
        yield machines
