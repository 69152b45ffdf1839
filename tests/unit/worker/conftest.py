"""What the tests of the worker stand on."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.conmon_driver import ConmonDriver
from tests.support.containers import Box
from tests.support.images import busybox_source, running_registry
from tests.support.paper_node import Node
from tests.support.task_host import Host


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with running_registry(directory / "data") as registry:
        source = busybox_source(directory / "source")
        asyncio.run(registry.push(directory / "workspace", "box:1", source))
        yield registry.reference("box:1")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def host(tmp_path: Path, images: Path, reference: str) -> Iterator[Host]:
    run_dir = Path(tempfile.mkdtemp(prefix="r"))
    box = Box(tmp_path / "state", run_dir, tmp_path)
    try:
        yield Host(box, images, reference)
    finally:
        box.run(_nothing)
        left = box.leftovers()
        shutil.rmtree(run_dir)
    assert left == []


async def _nothing(_driver: ConmonDriver) -> None:
    pass
