"""Finds plugins by their files, in the folders where Docker looks and in Docker's order.

A socket comes before a file that tells of one; of two files the first found counts. Each may stand
in a folder of the plugin's name, so that it can be mounted into the plugin's container. Plugins
that dockerd manages itself (`docker plugin install`) are in none of these, and not found.
"""

import contextlib
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from api.errors import Code, SwarmError
from runtime.volume.plugin import address
from runtime.volume.plugin.address import Address

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_MAX_FILE = 64 << 10
_MAX_ENTRIES = 4096
_READERS: tuple[tuple[str, Callable[[bytes, Path], Address]], ...] = (
    (".spec", address.read_spec),
    (".json", address.read_json),
)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where plugins put their sockets, and where files tell of others."""

    sockets: Path = Path("/run/docker/plugins")
    specs: tuple[Path, ...] = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))

    def __str__(self) -> str:
        return ", ".join(str(folder) for folder in (self.sockets, *self.specs))


def find(name: str, folders: Folders) -> Address:
    """Where the plugin of that name listens; UNAVAILABLE if no file tells."""
    if _NAME.fullmatch(name):
        for path in _candidates(folders.sockets, name, ".sock"):
            if _is_socket(path):
                return address.of_socket(path, path)
        for folder in folders.specs:
            for suffix, read in _READERS:
                for path in _candidates(folder, name, suffix):
                    data = _content(path)
                    if data is not None:
                        return read(data, path)
    raise SwarmError(
        Code.UNAVAILABLE,
        f"there is no volume driver {name} on this host",
        why=f"no plugin of that name in {folders}",
        remedy=f"start the plugin; it should listen on {folders.sockets / name}.sock",
    )


def names(folders: Folders) -> list[str]:
    """All plugins that are announced, whatever they implement, and whether they answer or not."""
    found = {
        path.stem
        for path in _entries(folders.sockets)
        if path.suffix == ".sock" and _is_socket(path)
    }
    for folder in folders.specs:
        found.update(path.stem for path in _entries(folder) if path.suffix in (".spec", ".json"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def _candidates(folder: Path, name: str, suffix: str) -> Iterator[Path]:
    yield folder / f"{name}{suffix}"
    yield folder / name / f"{name}{suffix}"


def _entries(folder: Path) -> Iterator[Path]:
    """Files in it, and those in a folder below it that bear the folder's name."""
    with contextlib.suppress(OSError):
        for path in islice(folder.iterdir(), _MAX_ENTRIES):
            if path.is_dir():
                for suffix in (".sock", ".spec", ".json"):
                    inner = path / f"{path.name}{suffix}"
                    if inner.exists():
                        yield inner
            else:
                yield path


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _content(path: Path) -> bytes | None:
    """At most the bytes that such a file may have; None if there is no file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return None
