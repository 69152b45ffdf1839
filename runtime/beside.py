"""What is mounted for one container alone, beside its root, and bound into it: images, for nobody
to write to, and folders of the host without what is mounted below them, which crun would bind too.

Outside of the container's bundle, which is deleted with all that is in it. Blocking.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from hostkit import mount
from runtime import inside, rootfs
from runtime.driver import ContainerRequest
from runtime.layout import ContainerPaths, Layout

Mount = specs_pb2.Mount
_PRIVATE = ("", "private", "rprivate")


def places(spec: specs_pb2.ContainerSpec, paths: ContainerPaths) -> dict[str, Path]:
    """Where what is to be bound will be, by its place in the container."""
    return {
        each.target: paths.beside / str(number)
        for number, each in enumerate(spec.mounts)
        if each.type == Mount.TYPE_IMAGE
        or (each.type == Mount.TYPE_BIND and each.bind_recursive == "disabled")
    }


def make(request: ContainerRequest, paths: ContainerPaths, layout: Layout) -> None:
    """Mounts all of it; SwarmError or OSError, and then some of it may be there."""
    found = places(request.spec, paths)
    if found:
        paths.beside.mkdir(mode=0o700)
    for each in request.spec.mounts:
        place = found.get(each.target)
        if place is None:
            continue
        if each.type == Mount.TYPE_IMAGE:
            _image(each, request.images[each.target], place, layout)
        else:
            _bind(Path(each.source), place)
            if each.bind_propagation in _PRIVATE:
                mount.mount("none", place, "none", mount.MS_PRIVATE)


def unmount(folder: Path) -> None:
    """Takes all of it away; what is mounted is never looked into."""
    mount.clear(folder)


def sweep(folder: Path, known: Collection[str]) -> None:
    """What is left of containers that are not there any more. `folder`: of all."""
    for each in list(folder.iterdir()):
        if each.name not in known:
            unmount(each)


def _image(wanted: Mount, layers: tuple[Path, ...], place: Path, layout: Layout) -> None:
    if not wanted.image_subpath:
        place.mkdir()
        rootfs.mount_read_only(layers, place, layout)
        return
    whole = place.with_suffix(".whole")
    whole.mkdir()
    rootfs.mount_read_only(layers, whole, layout)
    root = os.open(whole, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        part = inside.open_in(root, wanted.image_subpath, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise SwarmError(
            Code.INVALID,
            f"image {wanted.source} has no {wanted.image_subpath!r}",
            why=str(error.strerror),
            field="container.mounts.image_subpath",
        ) from None
    finally:
        os.close(root)
    try:
        _bind(Path(f"/proc/self/fd/{part}"), place)
    finally:
        os.close(part)


def _bind(source: Path, place: Path) -> None:
    """Just this folder or file."""
    if stat.S_ISDIR(source.stat().st_mode):
        place.mkdir()
    else:
        place.touch()
    mount.mount(str(source), place, "none", mount.MS_BIND)
