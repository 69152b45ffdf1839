"""A host for bundles that exists on paper only, and a box of real containers."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import capabilities
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest
from runtime.host_facts import HostFacts
from tests.support.containers import Box, make_layer, make_request


@pytest.fixture
def paper_host() -> HostFacts:
    return HostFacts(
        machine="x86_64",
        capabilities=frozenset(capabilities.NAMES) - {"CAP_SYS_RESOURCE"},
        hard_limits={"RLIMIT_NOFILE": 20000, "RLIMIT_CORE": -1, "RLIMIT_NPROC": 500},
        cgroup_version=1,
        controllers=frozenset(("memory", "cpu", "pids")),
        swap_accounting=True,
        oom_score_adj=0,
        cgroup_parent="/swarm",
    )


@pytest.fixture
def request_for() -> Callable[..., ContainerRequest]:
    return make_request


@pytest.fixture(scope="session")
def busybox_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_layer(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def box(tmp_path: Path, busybox_layer: Path) -> Iterator[Box]:
    run_dir = Path(tempfile.mkdtemp(prefix="r"))
    found = Box(tmp_path / "state", run_dir, busybox_layer)
    try:
        yield found
    finally:
        # Whatever the test left, as after a scenario that kills the driver.
        found.run(_nothing)
        left = found.leftovers()
        shutil.rmtree(run_dir)
    assert left == []


async def _nothing(_driver: ConmonDriver) -> None:
    pass
