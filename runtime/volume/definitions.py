"""What drivers of ours know of the volumes that they were told to make: a file for each.

So that a volume is found by its name alone, as Docker's daemon asks, and after a restart. Blocking:
the files are small, and on the daemon's own disk. Secrets are not among it.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from api.times import timestamp
from hostkit.clock import Clock
from hostkit.durable import replace
from runtime.volume.driver import Known, Volume

FILE = "volume.json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")


@dataclass(frozen=True, slots=True)
class Definition:
    """One volume as it was made."""

    name: str
    options: dict[str, str]
    labels: dict[str, str]
    created_at: str


class Definitions:
    """Those of one driver, each in a folder of the volume's name below `root`."""

    def __init__(self, driver: str, root: Path, clock: Clock) -> None:
        self._driver = driver
        self.root = root
        self._clock = clock

    def folder(self, name: str) -> Path:
        """The folder of a volume; INVALID if that is no name of one."""
        if not _NAME.fullmatch(name):
            raise invalid("name", f"{name!r} is no name of a volume")
        return self.root / name

    def find(self, name: str) -> Definition | None:
        """A volume, or None."""
        try:
            text = (self.folder(name) / FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(name, error.strerror or str(error)) from None
        try:
            found = json.loads(text)
            return Definition(name, found["options"], found["labels"], found["created_at"])
        except (ValueError, KeyError, TypeError):
            raise self._unreadable(name, "it is damaged") from None

    def get(self, name: str) -> Definition:
        """A volume; NOT_FOUND."""
        found = self.find(name)
        if found is None:
            raise SwarmError(
                Code.NOT_FOUND, f"driver {self._driver} has no volume {name!r} on this host"
            )
        return found

    def names(self) -> list[str]:
        """What has a folder, though there may be no more of it."""
        return sorted(filter(_NAME.fullmatch, os.listdir(self.root))) if self.root.exists() else []

    def every(self) -> list[Definition]:
        """All of them, by name."""
        found = map(self.find, self.names())
        return [each for each in found if each is not None]

    def keep(self, volume: Volume) -> Definition:
        """From now on it is there, with these options; its folder is, too."""
        folder = self.folder(volume.name)
        former = self.find(volume.name)
        at = former.created_at if former is not None else _text(self._clock())
        made = Definition(volume.name, dict(volume.options), dict(volume.labels), at)
        if made == former:
            return made
        content = {"options": made.options, "labels": made.labels, "created_at": made.created_at}
        try:
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            replace(folder / FILE, json.dumps(content).encode(), mode=0o644)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"volume {volume.name} cannot be made",
                why=f"{folder}: {error.strerror}",
                remedy="check the free space and the health of that disk",
            ) from None
        return made

    def whole(self, volume: Volume) -> Volume:
        """The volume with the options it was made with, where it comes without any."""
        found = None if volume.options else self.find(volume.name)
        if found is None:
            return volume
        return Volume(
            volume.name,
            found.options,
            found.labels,
            volume.access,
            volume.read_only,
            volume.block,
            secrets=volume.secrets,
        )

    def _unreadable(self, name: str, why: str) -> SwarmError:
        return SwarmError(
            Code.INTERNAL, f"{self.folder(name) / FILE} of a volume cannot be read", why=why
        )


def known(definition: Definition, path: Path | None) -> Known:
    """What a driver tells of it."""
    return Known(
        definition.name, path, definition.created_at, definition.options, definition.labels
    )


def _text(seconds: float) -> str:
    return timestamp(seconds).ToJsonString()
