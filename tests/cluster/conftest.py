"""What every cluster scenario has in common: what is shown of a failure, and what is left after."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from machine.drivers.lab import naming
from tests.support.cluster import Swarm
from tests.support.shared_swarm import SharedSwarm
from tests.support.whole_machine import (  # noqa: F401 - hooks of pytest
    pytest_configure_node,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

HERE = Path(__file__).parent
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a swarm come one after another, and last: it is there for them alone."""
    items.sort(key=_shares_its_swarm)


def _shares_its_swarm(item: pytest.Item) -> bool:
    return (
        isinstance(item, pytest.Function)
        and item.path.parent == HERE
        and "swarm" in item.fixturenames
        and not hasattr(item.module, "swarm")
    )


@pytest.fixture(scope="session")
def _shared_swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSwarm]:
    shared = SharedSwarm(tmp_path_factory.mktemp("shared"))
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def swarm(_shared_swarm: SharedSwarm) -> Swarm:
    """A manager m1 and the workers w1 and w2. A module that needs another swarm than this makes it
    by a fixture of the same name.
    """
    return _shared_swarm.take()


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
