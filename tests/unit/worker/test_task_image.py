"""What is told of the images of a task while they come."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.v1 import host_pb2, specs_pb2
from hostkit import clock
from runtime.image.build import ImageSource, build_layout
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.images import file_tree
from tests.support.scripted_registry import ScriptedRegistry, serving
from worker.task_image import Coming, image_of

Told = list[tuple[int, int]]


@pytest.fixture
def scripted() -> Iterator[ScriptedRegistry]:
    with serving() as registry:
        yield registry


def layer(
    item: str, current: int, total: int, status: str = "downloading"
) -> host_pb2.ImageProgress:
    return host_pb2.ImageProgress(item=item, status=status, current=current, total=total)


def test_only_more_than_ever_is_progress() -> None:
    told: Told = []
    coming = Coming(lambda came, total: told.append((came, total)))
    coming(layer("a", 0, 10))
    assert told == []
    coming(layer("a", 4, 10))
    coming(layer("b", 3, 20))
    assert told == [(4, 10), (7, 30)]
    for current in (4, 0, 2, 4):  # the connection broke, and the registry begins anew
        coming(layer("a", current, 10))
    coming(layer("a", 0, 10, status="unpacking"))
    assert told[2:] == []
    coming(layer("a", 5, 10))
    assert told[2:] == [(8, 30)]


def test_a_pull_tells_what_has_come(tmp_path: Path, scripted: ScriptedRegistry) -> None:
    tree = file_tree(tmp_path / "tree", {"file": "text"})
    layout = tmp_path / "layout"
    asyncio.run(build_layout(layout, [ImageSource((tree,), {})], reference="team/app:1"))
    scripted.add_layout(layout, "1")
    told: Told = []
    store = ImageStore(tmp_path / "store", options=RegistryOptions(), clock=clock.wall)
    spec = specs_pb2.ContainerSpec(image=f"{scripted.address}/team/app:1")
    coming = Coming(lambda came, total: told.append((came, total)))
    asyncio.run(image_of(store, spec, coming))
    assert told
    came, total = told[-1]
    assert came == total > 0
    told.clear()
    asyncio.run(image_of(store, spec, coming))
    assert told == [], "it is here"
