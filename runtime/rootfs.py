"""Mounts a container's root file system: an overlay of the image's layers and one to write in."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hostkit import mount
from runtime.layout import ContainerPaths, Layout

_OPTIONS_LIMIT = 4095  # one page, with its final zero


def mount_layers(layers: Sequence[Path], paths: ContainerPaths, layout: Layout) -> None:
    """Mounts at `paths.merged`. Volatile: what a container wrote never outlives the container."""
    for directory in (paths.upper, paths.work, paths.merged):
        directory.mkdir()
    paths.upper.chmod(0o755)  # the root directory of the container
    lower = list(layers) or [layout.no_layer]
    if len(_options(lower, paths).encode()) <= _OPTIONS_LIMIT:
        _mount(lower, paths)
        return
    with _short_names(lower, layout.scratch) as links:
        _mount(links, paths)


def unmount(paths: ContainerPaths) -> None:
    """Takes away every mount below the bundle; none is fine."""
    while mount.unmount(paths.merged):
        pass


def _options(lower: Sequence[Path], paths: ContainerPaths) -> str:
    return mount.overlay_options(lower, paths.upper, paths.work, volatile=True)


def _mount(lower: Sequence[Path], paths: ContainerPaths) -> None:
    mount.mount("overlay", paths.merged, "overlay", 0, _options(lower, paths))


@contextlib.contextmanager
def _short_names(layers: Sequence[Path], scratch: Path) -> Iterator[list[Path]]:
    """Links to many layers: all names must fit in one page. The mount needs them no longer."""
    directory = Path(tempfile.mkdtemp(prefix="", dir=scratch))
    try:
        links = []
        for number, layer in enumerate(layers):
            link = directory / f"{number:x}"
            os.symlink(layer, link)
            links.append(link)
        yield links
    finally:
        shutil.rmtree(directory)
