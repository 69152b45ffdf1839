"""What every cluster scenario has in common: what is shown of a failure, and what is left after."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from machine.drivers.lab import naming
from tests.support.cluster import Swarm
from tests.support.whole_machine import (  # noqa: F401 - hooks of pytest
    pytest_configure_node,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

_FAILED = pytest.StashKey[bool]()


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


@pytest.fixture(autouse=True)
def _swarm_is_left_empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each scenario the swarm is whole and empty, so that the next begins as the first."""
    swarm = request.getfixturevalue("swarm") if "swarm" in request.fixturenames else None
    yield
    if isinstance(swarm, Swarm):
        if request.node.stash.get(_FAILED, False):
            swarm.mend()
        swarm.clear()
