"""Our own distribution, as it is installed here: what this very program is goes to the hosts.

Nothing has to be built beforehand and nothing is carried along: an installation knows its files,
and a checkout is one too. Packing takes part of a second and is done once for each content.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from api.errors import Code, SwarmError
from machine.distribution import wheel

SUFFIXES = frozenset({".py", ".pyi", ".typed", ".json", ".proto", ".service", ".sh"})
"""Of the files that belong to a package: those of `package-data` in pyproject.toml, and code."""
_OTHERS = ("entry_points.txt", "top_level.txt", "licenses/LICENSE")
_KEPT = 4
"""So many packed wheels stay in the cache."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Distribution:
    """A wheel of ours."""

    version: str
    path: Path


def own(cache: Path | None = None) -> Distribution:
    """This program's own, packed into `cache` (the user's, if None) unless it lies there with the
    releases that we run with now, of which its version tells nothing.
    """
    parts, releases = read_parts(), pins()
    cache = cache or _cache()
    folder = cache / hashlib.sha256(repr(sorted(releases.items())).encode()).hexdigest()[:16]
    path = folder / wheel.file_name(wheel.version_of(parts))
    if not path.exists():
        _pack(parts, releases, folder)
        _forget(cache, path)
    return given(path)


def packed(folder: Path) -> Distribution:
    """This program's own, packed anew into a folder."""
    return _pack(read_parts(), pins(), folder)


def given(path: Path) -> Distribution:
    """A wheel that somebody names; INVALID if it is none of ours."""
    if not path.is_file():
        raise SwarmError(Code.NOT_FOUND, f"there is no file {path}")
    return Distribution(wheel.version_in(path.name), path)


def read_parts(root: Path | None = None) -> wheel.Parts:
    """What our wheel is made of. `root`: where the packages lie, if not where this one does."""
    root = root or Path(__file__).parents[2]
    found = _installed()
    packages = (found.read_text("top_level.txt") or "").split()
    files = {
        str(path.relative_to(root)): path.read_bytes()
        for package in packages
        for path in sorted((root / package).rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    }
    if not files:
        raise SwarmError(Code.INTERNAL, f"{root} does not hold our own packages")
    others = {name: (found.read_text(name) or "").encode() for name in _OTHERS}
    return wheel.Parts(files, found.read_text("METADATA") or "", others)


def pins() -> dict[str, str]:
    """The release of every library that we run with here, by name: nodes get the same ones."""
    seen: dict[str, str] = {}
    asked = [wheel.NAME]
    while asked:
        for requirement in metadata.requires(asked.pop()) or ():
            text, _, marker = requirement.partition(";")
            found = _NAME.match(text.strip())
            name = wheel.library(found[0]) if found else ""
            if not name or "extra" in marker or name in seen:
                continue
            try:
                seen[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue  # another Python or system needs it; pip finds it there
            asked.append(name)
    return seen


def _installed() -> metadata.Distribution:
    """What pip knows of us; not what setuptools leaves in a checkout, which may be older."""
    for found in metadata.distributions(name=wheel.NAME):
        if found.read_text("METADATA"):
            return found
    raise SwarmError(
        Code.INTERNAL,
        "it is not known what this program is made of",
        why="it was not installed by pip",
        remedy="install it with pip, or give --distribution FILE",
    )


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / wheel.NAME / "wheels"


def _pack(parts: wheel.Parts, releases: Mapping[str, str], folder: Path) -> Distribution:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    version = wheel.version_of(parts)
    path = folder / wheel.file_name(version)
    packing = path.with_suffix(f".{os.getpid()}")
    packing.write_bytes(wheel.pack(parts, version, releases))
    packing.replace(path)
    return Distribution(version, path)


def _forget(cache: Path, new: Path) -> None:
    others = [path for path in cache.rglob("*.whl") if path != new]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT - 1 :]:
        path.unlink(missing_ok=True)
