"""Registries, stores and images for the tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hostkit import clock
from runtime.image.build import ImageSource, build_layout
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.images import RegistryProcess, file_tree, running_registry
from tests.support.scripted_registry import ScriptedRegistry, serving


@pytest.fixture
def scripted() -> Iterator[ScriptedRegistry]:
    """A registry whose answers the test scripts."""
    with serving() as registry:
        yield registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A real registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as process:
        yield process


class Stores:
    """Makes images and stores below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self, options: RegistryOptions = RegistryOptions()) -> ImageStore:  # noqa: B008
        """The store; opened again, it is as after a restart."""
        return ImageStore(self.directory / "store", options=options, clock=clock.wall)

    def source(self, *texts: str) -> ImageSource:
        """An image with one layer per text, which its file `N` holds."""
        trees = []
        for number, text in enumerate(texts):
            tree = self.directory / "trees" / f"{number}-{text[:20]}"
            trees.append(file_tree(tree, {str(number): text}))
        return ImageSource(tuple(trees), {"Cmd": ["sh"]})

    def layout(self, name: str, *images: ImageSource, reference: str = "team/app:1") -> Path:
        """A layout of `images`."""
        path = self.directory / name
        asyncio.run(build_layout(path, images, reference=reference))
        return path

    def leftovers(self) -> list[str]:
        """What lies in the directories for half-done work."""
        root = self.directory / "store"
        return sorted(
            path.name for part in ("ingest", "scratch") for path in (root / part).iterdir()
        )


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path)


async def chunks_of(body: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    """The bytes of an archive, as they come from a client."""
    for start in range(0, len(body), size):
        yield body[start : start + size]
