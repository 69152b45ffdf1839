"""Hooks of pytest for tests that need this machine for themselves; a conftest imports them.

A test with one of the marks waits for whoever has the machine, before its own time is counted.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from machine.drivers.lab.lock import machine_lock

MARKS = ("cluster", "machines", "vm")
_MACHINE = pytest.StashKey[contextlib.ExitStack]()
_IS_OURS = "machine_is_ours"
"""What a worker of a divided run is told, so that it does not wait for its own run."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A run that xdist divides holds this machine as a whole: its own modules share it."""
    if _MACHINE not in node.config.stash:
        _hold_machine(node.config, "a divided run of tests")
    node.workerinput[_IS_OURS] = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, Any, Any]:
    """Else one module has it alone. It is waited for before the time of a test is counted."""
    is_ours = _IS_OURS in getattr(item.config, "workerinput", {})
    if is_ours or not any(item.get_closest_marker(mark) for mark in MARKS):
        return (yield)
    module = item.path
    if _MACHINE not in item.config.stash:
        _hold_machine(item.config, module.stem)
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != module:
            _free_machine(item.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The machine is free at the end of the run at the latest."""
    _free_machine(config)


def _hold_machine(config: pytest.Config, what: str) -> None:
    held = config.stash[_MACHINE] = contextlib.ExitStack()
    held.enter_context(machine_lock(what))


def _free_machine(config: pytest.Config) -> None:
    if _MACHINE in config.stash:
        config.stash[_MACHINE].close()
        del config.stash[_MACHINE]
