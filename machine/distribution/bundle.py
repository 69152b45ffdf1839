"""The bundle: every library that a node needs, for each Python and machine, in one tar, for hosts
that do not reach PyPI. Read here and never unpacked as a whole: a host gets its own part.
"""

import errno
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from api.errors import Code, SwarmError
from machine.distribution import wheel

SCHEMA = 1
MANIFEST = "manifest.json"
_MAX_MANIFEST = 1 << 20
_MAX_FILE = 1 << 28
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """What a bundle says it holds."""

    version: str  # of our distribution that it was made for
    digests: Mapping[str, str]  # sha256 by file name
    targets: Mapping[str, Sequence[str]]  # file names by target, as "3.11-x86_64"


def target(python: str, arch: str) -> str:
    """What the part for a host is called; `python` as 3.11.2."""
    return f"{'.'.join(python.split('.')[:2])}-{arch}"


def write(path: Path, version: str, wheels: Mapping[str, Sequence[Path]]) -> None:
    """Makes the bundle out of the files of each target. The same files give the same bytes."""
    by_name = {each.name: each for files in wheels.values() for each in files}
    manifest = {
        "schema": SCHEMA,
        "version": version,
        "digests": {name: _digest(by_name[name]) for name in sorted(by_name)},
        "targets": {key: sorted({each.name for each in wheels[key]}) for key in sorted(wheels)},
    }
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        text = json.dumps(manifest, indent=1).encode()
        archive.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
        for name in sorted(by_name):
            with by_name[name].open("rb") as content:
                archive.addfile(_entry(name, by_name[name].stat().st_size), content)
    partial.replace(path)


def read(path: Path) -> Bundle:
    """What is in it. INVALID if it is no bundle, or of a form that this program does not know."""
    with _opened(path) as archive:
        first = archive.next()
        if first is None or first.name != MANIFEST or first.size > _MAX_MANIFEST:
            raise _no_bundle(path, f"it does not begin with {MANIFEST}")
        try:
            return _parsed(json.load(_content(archive, first)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _no_bundle(path, f"its manifest cannot be read: {error}") from None


def check(path: Path, ours: Path) -> None:
    """INVALID if it is no bundle, or lacks for any target what our wheel asks for: pip, which is to
    look nowhere else, would find that out at the host.
    """
    bundle = read(path)
    asked = {_release(*each): each for each in wheel.pinned(ours.name, ours.read_bytes()).items()}
    for key, names in bundle.targets.items():
        lacking = asked.keys() - {_release(*f"{name}-".split("-")[:2]) for name in names}
        if lacking:
            raise SwarmError(
                Code.INVALID,
                f"{path.name} does not go with {ours.name}",
                why=f"it was made for {bundle.version}, and lacks "
                f"{' '.join(asked[min(lacking)])} for {key}",
                remedy="name the wheel that was made with it (--distribution FILE), or make both "
                "anew: make dist",
            )


def extract(path: Path, key: str, folder: Path) -> list[Path]:
    """Puts the files of one target into a folder, each compared with its digest."""
    bundle = read(path)
    if key not in bundle.targets:
        has = ", ".join(sorted(bundle.targets))
        raise SwarmError(
            Code.INVALID,
            f"{path.name} has nothing for {key}",
            why=f"it has {has}",
            remedy="make one with: make dist",
        )
    wanted = set(bundle.targets[key])
    with _opened(path) as archive:
        for entry in archive:
            if entry.name in wanted:
                _extract(archive, entry, bundle.digests.get(entry.name, ""), folder)
                wanted.discard(entry.name)
    if wanted:
        raise _no_bundle(path, f"it lacks {sorted(wanted)[0]}")
    return sorted(folder / name for name in bundle.targets[key])


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, digest: str, folder: Path) -> None:
    if "/" in entry.name or not entry.isreg() or entry.size > _MAX_FILE:
        raise SwarmError(Code.INVALID, f"the bundle's {entry.name} is no plain file")
    place, content = folder / entry.name, _content(archive, entry)
    try:
        with place.open("wb") as copy:
            while block := content.read(_BLOCK):
                copy.write(block)
    except OSError as error:
        raise SwarmError(
            Code.EXHAUSTED if error.errno == errno.ENOSPC else Code.INTERNAL,
            f"cannot copy the bundle's {entry.name} into {folder}",
            why=str(error.strerror).lower(),
            remedy="make room there, or set TMPDIR to another folder",
        ) from None
    if _digest(place) != digest:
        raise SwarmError(
            Code.INVALID,
            f"the bundle's {entry.name} is damaged",
            why="its sha256 is another",
            remedy="copy the bundle again, or make it anew: make dist",
        )


def _release(name: str, release: str) -> tuple[str, str]:
    """A library's release, as it stands in metadata and names of files: there without zeros."""
    parts = (part.lstrip("0") or part for part in release.split("."))
    return wheel.library(name), ".".join(parts)


def _parsed(told: Any) -> Bundle:  # noqa: ANN401 - whatever the file says
    if told["schema"] != SCHEMA:
        raise ValueError(f"its form is {told['schema']}, this program knows {SCHEMA}")
    targets = {str(key): [str(name) for name in names] for key, names in told["targets"].items()}
    return Bundle(
        str(told["version"]), {str(k): str(v) for k, v in told["digests"].items()}, targets
    )


def _no_bundle(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INVALID, f"{path} is no bundle", why=why, remedy="make one with: make dist"
    )


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (OSError, tarfile.TarError) as error:
        raise _no_bundle(path, str(error)) from None


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(entry)
    if content is None:
        raise SwarmError(Code.INVALID, f"the bundle's {entry.name} is no plain file")
    return content


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
