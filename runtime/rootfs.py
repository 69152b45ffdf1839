"""Mounts a container's root file system: an overlay of the image's layers and one to write in."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
    _mount(lower, paths.merged, layout, lambda found: _options(found, paths))


def mount_read_only(layers: Sequence[Path], target: Path, layout: Layout) -> None:
    """Mounts what an image has, for nobody to write to: nothing where it has no layers."""
    if layers:  # with an empty one: an overlay that is only read has two at least
        _mount([layout.no_layer, *layers], target, layout, mount.lower_options)


def unmount(paths: ContainerPaths) -> None:
    """Takes away every mount below the bundle; none is fine."""
    while mount.unmount(paths.merged):
        pass


def _options(lower: Sequence[Path], paths: ContainerPaths) -> str:
    return mount.overlay_options(lower, paths.upper, paths.work, volatile=True)


def _mount(
    lower: list[Path], target: Path, layout: Layout, options: Callable[[Sequence[Path]], str]
) -> None:
    if len(options(lower).encode()) <= _OPTIONS_LIMIT:
        mount.mount("overlay", target, "overlay", 0, options(lower))
        return
    with _short_names(lower, layout.scratch) as links:
        mount.mount("overlay", target, "overlay", 0, options(links))


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
