"""Who outside uses which volume of this host: a small file, written before anything is done.

The containers are another daemon's, which asks once for each and does not repeat itself after this
one was started anew; so their ids have to be kept. Blocking; written rarely.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.durable import replace


@dataclass(frozen=True, slots=True)
class Use:
    """One mount for somebody outside; `user` is what the host of volumes knows it by."""

    driver: str
    volume: str
    id: str

    @property
    def user(self) -> str:
        """Unlike the id of any container of ours; no part of it has a colon."""
        return f"outside:{self.driver}:{self.volume}:{self.id}"


class Served:
    """All uses by those outside. REFUSED if the file is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._paths: dict[Use, str] = {}
        try:
            text = path.read_text()
        except FileNotFoundError:
            return
        try:
            self._paths = {
                Use(each["driver"], each["volume"], each["id"]): each["path"]
                for each in json.loads(text)
            }
        except (ValueError, KeyError, TypeError):
            raise SwarmError(
                Code.REFUSED,
                f"who uses volumes of this host from outside cannot be read from {path}",
                why="it is damaged",
                remedy="stop the containers of Docker that use them, and remove the file",
            ) from None

    def users(self) -> list[str]:
        """All of them, as the host of volumes knows them."""
        return [use.user for use in self._paths]

    def of(self, driver: str, volume: str) -> Mapping[Use, str]:
        """The uses of one volume, and where each found it; empty: not told yet."""
        return {
            use: path
            for use, path in self._paths.items()
            if (use.driver, use.volume) == (driver, volume)
        }

    def keep(self, use: Use, path: str = "") -> None:
        """It is about to be mounted, or is at `path`."""
        self._paths[use] = path
        self._write()

    def drop(self, use: Use) -> None:
        """It is over."""
        if self._paths.pop(use, None) is not None:
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        replace(self._path, json.dumps(list(self._rows())).encode())

    def _rows(self) -> Iterator[dict[str, str]]:
        for use, path in self._paths.items():
            yield {"driver": use.driver, "volume": use.volume, "id": use.id, "path": path}
