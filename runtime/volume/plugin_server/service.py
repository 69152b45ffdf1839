"""Docker's volume plugin protocol, answered: from the body of a call to the body of its answer.

What it does not understand it refuses in the protocol's own way, as `Err`; it never tells of
volumes that are another driver's.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from api.errors import Code, SwarmError, invalid
from runtime.volume.driver import Known, Scope
from runtime.volume.plugin.messages import IMPLEMENTS

MIME = "application/vnd.docker.plugins.v1.2+json"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_ID = re.compile(r"[a-zA-Z0-9_.-]{1,255}")
_MAX_OPTIONS = 256
_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404

Asked = Mapping[str, Any]
Answer = dict[str, Any]


class Shelf(Protocol):
    """The volumes of one driver, as others may use them."""

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        """Makes it; one that is there is left as it is."""

    async def remove(self, name: str) -> None:
        """Removes it with its data; NOT_FOUND, or REFUSED while somebody uses it."""

    async def mount(self, name: str, id: str) -> Path:
        """Where it is, mounted for as long as one such id uses it."""

    async def unmount(self, name: str, id: str) -> None:
        """That id uses it no more; nothing happens if it did not."""

    async def every(self) -> Sequence[Known]:
        """All of them."""


class PluginService:
    """The calls of one plugin; `answer` is what an HttpServer serves."""

    def __init__(self, shelf: Shelf, scope: Scope) -> None:
        self._shelf = shelf
        self._scope = scope
        self._verbs: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
            "/Plugin.Activate": self._activate,
            "/VolumeDriver.Create": self._create,
            "/VolumeDriver.Remove": self._remove,
            "/VolumeDriver.Mount": self._mount,
            "/VolumeDriver.Unmount": self._unmount,
            "/VolumeDriver.Path": self._path,
            "/VolumeDriver.Get": self._get,
            "/VolumeDriver.List": self._list,
            "/VolumeDriver.Capabilities": self._capabilities,
        }

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body. Refusals have status 200, as Docker's client shows them best so."""
        verb = self._verbs.get(path)
        if verb is None:
            return _NOT_FOUND, _encoded({"Err": f"there is no call {path[:100]}"})
        try:
            asked = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return _BAD_REQUEST, _encoded({"Err": "the body is not a JSON object"})
        try:
            return _OK, _encoded({"Err": "", **await verb(asked)})
        except SwarmError as error:
            return _OK, _encoded({"Err": str(error)})

    async def _activate(self, asked: Asked) -> Answer:
        return {"Implements": [IMPLEMENTS]}

    async def _capabilities(self, asked: Asked) -> Answer:
        return {"Capabilities": {"Scope": self._scope.value}}

    async def _create(self, asked: Asked) -> Answer:
        await self._shelf.create(_name(asked), _options(asked))
        return {}

    async def _remove(self, asked: Asked) -> Answer:
        await self._shelf.remove(_name(asked))
        return {}

    async def _mount(self, asked: Asked) -> Answer:
        return {"Mountpoint": str(await self._shelf.mount(_name(asked), _id(asked)))}

    async def _unmount(self, asked: Asked) -> Answer:
        await self._shelf.unmount(_name(asked), _id(asked))
        return {}

    async def _path(self, asked: Asked) -> Answer:
        return {"Mountpoint": _told(await self._known(asked))["Mountpoint"]}

    async def _get(self, asked: Asked) -> Answer:
        return {"Volume": _told(await self._known(asked))}

    async def _list(self, asked: Asked) -> Answer:
        return {"Volumes": [_told(known) for known in await self._shelf.every()]}

    async def _known(self, asked: Asked) -> Known:
        name = _name(asked)
        for known in await self._shelf.every():
            if known.name == name:
                return known
        raise no_such_volume(name)


def no_such_volume(name: str) -> SwarmError:
    """In the words by which clients tell it from other errors."""
    return SwarmError(Code.NOT_FOUND, f"no such volume: {name}")


def _told(known: Known) -> Answer:
    told: Answer = {"Name": known.name, "Mountpoint": str(known.path or ""), "Status": {}}
    if known.created_at:
        told["CreatedAt"] = known.created_at
    return told


def _name(asked: Asked) -> str:
    name = asked.get("Name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid("Name", f"{str(name)[:100]!r} is no name of a volume")
    return name


def _id(asked: Asked) -> str:
    id = asked.get("ID")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise invalid("ID", "it says which container mounts, by letters and digits")
    return id


def _options(asked: Asked) -> dict[str, str]:
    options = asked.get("Opts") or {}
    if (
        not isinstance(options, dict)
        or len(options) > _MAX_OPTIONS
        or not all(isinstance(value, str) for value in options.values())
    ):
        raise invalid("Opts", f"options are a table of at most {_MAX_OPTIONS} texts")
    return options


def _encoded(answer: Answer) -> bytes:
    return json.dumps(answer).encode()
