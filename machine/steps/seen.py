"""What the steps find on a host: one look serves the checks of all of them. Parsing is pure; a host
may print anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from machine.manifest import Manifest

MAX_BYTES = 128 * 1024
_MAX_LINES = 1024
_PLACE_WORDS = 5


@dataclass(frozen=True)
class Place:
    """What lies at a path. `content`: a file's sha256, a link's target, "empty" of a folder."""

    kind: str  # file, link, folder or other
    mode: int = 0
    owner: str = ""
    content: str = ""


@dataclass(frozen=True)
class Seen:
    """One look."""

    places: Mapping[str, Place] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()  # packages
    groups: frozenset[str] = frozenset()
    hostname: str = ""
    python: str = ""  # 3.11
    versions: Mapping[str, str] = field(default_factory=dict)
    """Whole installations of ours, each with the Python it was made for."""
    active: str = ""  # what systemd says of swarmd
    enabled: str = ""
    unit_is_stale: bool = False  # systemd has not read the unit's file as it is
    manifest: Manifest = field(default_factory=Manifest)
    damage: bytes = b""  # the manifest's content, where that cannot be read

    def target(self, path: str) -> str:
        """Where a link points to; "" if none is there."""
        place = self.places.get(path)
        return place.content if place and place.kind == "link" else ""

    def is_empty(self, path: str) -> bool:
        """Whether it is a folder with nothing in it."""
        place = self.places.get(path)
        return place is not None and place.kind == "folder" and place.content == "empty"

    def has(self, version: str) -> bool:
        """Whether that version of ours is whole, and made for the Python that is there."""
        made_for = self.versions.get(version, "")
        return bool(made_for) and made_for == self.python


def parse(printed: bytes, manifest: Manifest) -> Seen:
    """Reads what seen.sh printed; ValueError if that was cut off."""
    lines = [line.partition("\t")[::2] for line in printed.decode(errors="replace").split("\n")]
    lines = lines[:_MAX_LINES]
    if not any(name == "end" for name, _ in lines):
        raise ValueError("the host did not answer to the end")
    last = dict(lines)

    def values(name: str) -> list[str]:
        return [value for key, value in lines if key == name]

    return Seen(
        places=dict(_places(values("place"))),
        missing=frozenset(values("missing")),
        groups=frozenset(values("group")),
        hostname=last.get("hostname", ""),
        python=last.get("python", ""),
        versions={v.partition(" ")[0]: v.partition(" ")[2] for v in values("version")},
        active=last.get("ActiveState", ""),
        enabled=last.get("UnitFileState", ""),
        unit_is_stale=last.get("NeedDaemonReload") == "yes",
        manifest=manifest,
    )


def _places(values: Iterable[str]) -> Iterable[tuple[str, Place]]:
    for value in values:
        words = value.split(" ", _PLACE_WORDS - 1)
        if len(words) == _PLACE_WORDS and words[1].isdigit() and not set(words[1]) & set("89"):
            kind, mode, owner, content, path = words
            yield path, Place(kind, int(mode[:5], 8), owner, content)
