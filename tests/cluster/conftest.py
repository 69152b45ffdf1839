"""What every cluster scenario has in common: what is shown of a failure, and what is left after."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from machine.drivers.lab import naming
from machine.drivers.lab.lock import machine_lock
from tests.support.cluster import Swarm

_FAILED = pytest.StashKey[bool]()
_MACHINE = pytest.StashKey[contextlib.ExitStack]()
_IS_OURS = "machine_is_ours"
"""What a worker of a divided run is told, so that it does not wait for its own run."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failed scenario shows the swarm as it stood."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
        swarm = getattr(item, "funcargs", {}).get("swarm")
        # A teardown may have taken it down.
        if isinstance(swarm, Swarm) and (naming.DEFAULT_BASE / swarm.name).exists():
            report.sections.append(("the swarm", swarm.picture()))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A run that xdist divides holds this machine as a whole: its own modules share it."""
    if _MACHINE not in node.config.stash:
        _hold_machine(node.config, "a run of cluster tests")
    node.workerinput[_IS_OURS] = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, Any, Any]:
    """Else one module has it alone. It is waited for before the time of a test is counted."""
    is_ours = _IS_OURS in getattr(item.config, "workerinput", {})
    if item.get_closest_marker("cluster") is None or is_ours:
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
    _free_machine(config)


def _hold_machine(config: pytest.Config, what: str) -> None:
    held = config.stash[_MACHINE] = contextlib.ExitStack()
    held.enter_context(machine_lock(what))


def _free_machine(config: pytest.Config) -> None:
    if _MACHINE in config.stash:
        config.stash[_MACHINE].close()
        del config.stash[_MACHINE]


@pytest.fixture(autouse=True)
def _swarm_is_left_empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each scenario the swarm is whole and empty, so that the next begins as the first."""
    swarm = request.getfixturevalue("swarm") if "swarm" in request.fixturenames else None
    yield
    if isinstance(swarm, Swarm):
        if request.node.stash.get(_FAILED, False):
            swarm.mend()
        swarm.clear()
