"""What was done to a host, as it stands on the host itself: by it a cut-off run is gone on with, a
version is taken back, and a removal leaves what was there before. Pure.

It is written before each step, with what the step is about to replace, and after it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from api.errors import Code, SwarmError

PATH = "/etc/swarm/machine.json"
SAVED = "/etc/swarm/before"
"""Folder of files as they were before us."""
MAX_BYTES = 1 << 20
DAMAGED = f"{PATH}.damaged"
"""Where a manifest that cannot be read is put aside."""
SCHEMA = 1
_MAX_LOG = 100
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Entry:
    """One step that was done. `when` in seconds since 1970."""

    step: str
    what: str
    who: str
    when: float


@dataclass(frozen=True)
class Manifest:
    """All that is known. What is empty was not touched."""

    version: str = ""  # that is to run
    previous: str = ""  # the last one before it that ran
    doing: str = ""  # the step that was begun and is not known to have ended
    packages: tuple[str, ...] = ()  # that we brought
    groups: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()  # that were not there
    empty: tuple[str, ...] = ()  # folders that were there with nothing in them
    versions: tuple[str, ...] = ()  # in /opt/swarm
    replaced: Mapping[str, str] = field(default_factory=dict)
    """By path: its copy in SAVED, "-> TARGET" if it was a link, "" if nothing was there."""
    hostname: str = ""  # before us
    service: str = ""  # what systemd said of swarmd before us, as "active enabled"
    running: Mapping[str, str] = field(default_factory=dict)
    """What swarmd was started with, once it answered: a version that never did is not in here."""
    log: tuple[Entry, ...] = ()

    @property
    def is_begun(self) -> bool:
        """Whether anything was ever done."""
        return bool(self.log or self.doing)

    def before(self, version: str) -> str:
        """What is gone back to once `version` is to run: the last other one that ran; "" if none
        did.
        """
        ran = self.running.get("version") == self.version
        last = self.version if ran and self.version != version else self.previous
        return last if last != version else ""

    def with_folders(self, missing: Iterable[str], empty: Iterable[str]) -> "Manifest":
        """Those count as ours from now on, as far as none of them does."""
        ours = tuple(dict.fromkeys((*self.folders, *missing)))
        bare = tuple(each for each in empty if each not in ours and each not in self.empty)
        return replace(self, folders=ours, empty=(*self.empty, *bare))

    def begun(self, step: str) -> "Manifest":
        """It is at this step."""
        return replace(self, doing=step)

    def unsure(self) -> "Manifest":
        """What swarmd runs with is not known any more, only that its version did run."""
        version = {key: value for key, value in self.running.items() if key == "version"}
        return replace(self, running=version)

    def done(self, entry: Entry) -> "Manifest":
        """The step is done."""
        return replace(self, doing="", log=(*self.log, entry)[-_MAX_LOG:])


def encoded(manifest: Manifest) -> bytes:
    """The content of the file."""
    return json.dumps({"schema": SCHEMA, **asdict(manifest)}, indent=1).encode() + b"\n"


class DamagedError(ValueError):
    """The file is no manifest, as after a loss of power."""


def decoded(content: bytes | None, host: str) -> Manifest:
    """The manifest, empty if there is none. DamagedError if it cannot be read; REFUSED if a later
    program wrote it.
    """
    if content is None:
        return Manifest()
    try:
        told = json.loads(content)
        schema = int(told.pop("schema"))
        known = {each.name for each in fields(Manifest)} & told.keys()
        read = {name: _read(name, told[name]) for name in known} if schema == SCHEMA else {}
    except _DAMAGE as error:
        raise DamagedError(f"{PATH} cannot be read: {error}") from None
    if schema != SCHEMA:
        raise SwarmError(
            Code.REFUSED,
            f"{host} was installed by another swarmctl",
            why=f"{PATH} there is of form {schema}, this program knows {SCHEMA}",
            remedy="use a swarmctl of that version or a later one",
        )
    return Manifest(**read)


def _entry(told: Any) -> Entry:  # noqa: ANN401 - JSON
    return Entry(str(told["step"]), str(told["what"]), str(told["who"]), float(told["when"]))


def _read(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    match name:
        case "log":
            return tuple(map(_entry, value))
        case "replaced" | "running":
            return {str(key): str(text) for key, text in value.items()}
        case "packages" | "groups" | "folders" | "empty" | "versions":
            return tuple(str(each) for each in value)
    return str(value)
