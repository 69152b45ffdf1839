"""What the archive of a volume looks like.

A plain tar (POSIX.1-2001, "pax"), compressed by zstd, so that any tar reads it:

    swarm-volume.json     what it is of: see Head
    data/...              the volume's content, `data/` itself first
    swarm-volume.sha256   a line for each file, as of sha256sum: `sha256sum -c` checks it by hand
    swarm-volume.end      see End: the hash of every byte of the tar before this entry

What an archive says of itself is only believed as far as it can be checked.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from runtime.image.stream import InvalidLayer

FORMAT = 1
HEAD, DATA, SUMS, END = "swarm-volume.json", "data", "swarm-volume.sha256", "swarm-volume.end"
HOLES = "SWARM.holes"
"""The PAX header of a file that has holes: where it is all zeros, nothing is to be written."""
ODD = "LIBARCHIVE.xattr."
"""Begins the PAX headers of attributes whose names hold a "=", which tar's usual header cannot say:
the name is URL-encoded, the value base64, as bsdtar has it."""
LARGEST_NOTE = 1 << 20
"""Bytes of a head or an end."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the archive is of. `size`: bytes that the files take on a disk, as they were counted."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    entries: int = 0
    size: int = 0
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class End:
    """What came of it. `changed`: files that changed while they were read."""

    sha256: str
    entries: int
    changed: int = 0


def odd_header(name: str) -> str:
    """The header of an attribute with a "=" in its name."""
    return ODD + quote(name, safe="", errors="surrogateescape")


def odd_name(header: str) -> str:
    """The other way round."""
    return unquote(header.removeprefix(ODD), errors="surrogateescape")


def written(note: Head | End) -> bytes:
    """As it stands in the archive."""
    return json.dumps(dataclasses.asdict(note), sort_keys=True).encode()


def head_of(data: bytes) -> Head:
    """InvalidLayer if that is no head of a format that is known here."""
    found = _note(data)
    if not isinstance(found.get("format"), int) or "name" not in found:
        raise InvalidLayer("it does not begin as the archive of a volume")
    if found["format"] != FORMAT:
        raise InvalidLayer(f"it is of format {found['format']}, and only {FORMAT} is known here")
    try:
        labels = {str(key): str(value) for key, value in dict(found["labels"]).items()}
        return Head(str(found["name"]), labels, int(found["entries"]), int(found["size"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidLayer("its head is damaged") from None


def end_of(data: bytes) -> End:
    """InvalidLayer if that is no end."""
    found = _note(data)
    try:
        return End(str(found["sha256"]), int(found["entries"]), int(found["changed"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidLayer("its end is damaged") from None


def sum_line(digest: str, name: str) -> bytes:
    """A line of the sums, as sha256sum writes it."""
    plain = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    escaped = "\\" if plain != name else ""
    return f"{escaped}{digest}  {plain}\n".encode("utf-8", "surrogateescape")


def _note(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidLayer("it is not the archive of a volume")
    return found
