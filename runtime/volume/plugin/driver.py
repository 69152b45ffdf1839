"""An existing Docker volume plugin as a driver of ours.

It mounts where it likes; what it tells is looked at before a container gets it. It counts by the
ids of mounts who uses a volume, so the same mount is asked for under the same id after a crash.
What is not known to have been mounted is not unmounted by guess: a plugin that merely counts would
take the volume from another container.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, Known, Mounted, Place, Scope, Volume
from runtime.volume.look import DEADLINE
from runtime.volume.plugin import faults, messages
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.messages import Answer, Lie, Told
from runtime.volume.plugin.place import checked
from runtime.volume.unsupported import no_fence

log = logging.getLogger(__name__)
T = TypeVar("T")

HANDSHAKE = 30.0
"""Seconds for the handshake, on top of the wait for a plugin that does not listen yet."""
LONG = 120.0
"""Seconds for what reaches the storage: create, remove, mount, unmount. As Docker's."""
SHORT = 60.0
"""Seconds for questions. As Docker's."""
_QUESTIONS = frozenset({"Get", "List", "Path", "Capabilities"})


class PluginDriver:
    """See `runtime.volume.driver.VolumeDriver`. `kept`: folders that no plugin may hand out.

    `look`: seconds in which what it mounted has to answer.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        kept: Sequence[Path] = (),
        handshake: float = HANDSHAKE,
        long: float = LONG,
        short: float = SHORT,
        look: float = DEADLINE,
    ) -> None:
        self._connection = connection
        self._kept = tuple(kept)
        self._handshake = handshake
        self._long = long
        self._short = short
        self._look = look
        self._activated = False

    @property
    def name(self) -> str:
        """The name of its socket or file."""
        return self._connection.name

    async def capabilities(self) -> Capabilities:
        """Local, unless the plugin says global: it may know no such question, as in Docker."""
        await self._activate(patient=False)
        try:
            answer = await self._ask("Capabilities", {})
        except SwarmError as error:
            if error.code is not Code.UNSUPPORTED:
                raise
            return Capabilities(Scope.LOCAL, deletes=True)
        if self._read("Capabilities", messages.refusal, answer):
            return Capabilities(Scope.LOCAL, deletes=True)
        return Capabilities(messages.scope(answer), deletes=True)

    async def create(self, volume: Volume) -> None:
        """Makes it, unless the plugin has one of that name; which options that has, it does not
        tell.
        """
        self._understood(volume)
        await self._activate()
        if await self._known(volume.name) is None:
            body = {"Name": volume.name, "Opts": dict(volume.options)}
            await self._do("Create", body, f"create volume {volume.name}")

    async def remove(self, volume: Volume) -> None:
        """Deletes it; one that the plugin does not know is gone already."""
        await self._activate()
        await self._undo("Remove", volume, "remove")

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """Mounted where the plugin says, if that may be given to a container; else let go again."""
        self._understood(volume)
        await self._activate()
        body = {"Name": volume.name, "ID": place.id}
        answer = await self._do("Mount", body, f"mount volume {volume.name}")
        try:
            told = self._read("Mount", messages.mountpoint, answer)
            return Mounted(await checked(self.name, "Mount", told, self._kept, self._look))
        except SwarmError:
            await self._let_go(volume, place)
            raise

    async def unmount(self, volume: Volume, place: Place) -> None:
        """Says that this mount is needed no more; the plugin unmounts after the last one."""
        await self._activate()
        await self._undo("Unmount", volume, "unmount", place.id)

    async def get(self, name: str) -> Known:
        """What the plugin tells of a volume; where it is, some tell only if asked for just that."""
        await self._activate()
        told = await self._known(name)
        if told is None:
            raise faults.refused(self.name, f"find volume {name}", "no such volume")
        if not told.path:
            told = replace(told, path=await self._path(name))
        return _known(told)

    async def list(self) -> Sequence[Known]:
        """What the plugin tells of all."""
        await self._activate()
        answer = await self._do("List", {}, "list its volumes")
        return [_known(told) for told in self._read("List", messages.volumes, answer)]

    async def fence(self, volume: Volume, host_id: str) -> None:
        """The protocol knows nothing of other hosts."""
        why = f"volume {volume.name} cannot be taken from {host_id} by Docker's protocol"
        raise no_fence(self.name, why)

    async def _known(self, name: str) -> Told | None:
        try:
            answer = await self._do("Get", {"Name": name}, f"find volume {name}")
        except SwarmError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise
        told = self._read("Get", messages.volume, answer)
        if told is not None and told.name != name:
            raise faults.lied(self.name, "Get", f"asked for {name} it tells of {told.name}")
        return told

    async def _path(self, name: str) -> str:
        answer = await self._ask("Path", {"Name": name})
        if self._read("Path", messages.refusal, answer):
            return ""
        return self._read("Path", messages.mountpoint, answer)

    async def _activate(self, *, patient: bool = True) -> None:
        """The handshake, once for a plugin that lives. It tells which kind of plugin it is."""
        if self._activated and patient:
            return
        self._activated = False
        answer = await self._connection.call(
            "Plugin.Activate", {}, self._handshake, patient=patient
        )
        kinds = self._read("Activate", messages.implements, answer)
        if messages.IMPLEMENTS not in kinds:
            raise faults.no_volume_driver(self.name, messages.readable(", ".join(kinds)))
        self._activated = True

    async def _do(self, verb: str, body: Mapping[str, object], doing: str) -> Answer:
        """Its answer; what it refuses is an error."""
        answer = await self._ask(verb, body)
        said = self._read(verb, messages.refusal, answer)
        if said:
            raise faults.refused(self.name, doing, said)
        return answer

    async def _undo(self, verb: str, volume: Volume, doing: str, id: str = "") -> None:
        """Takes something back; of a volume that is not there any more nothing is to be done."""
        body = {"Name": volume.name, **({"ID": id} if id else {})}
        try:
            await self._do(verb, body, f"{doing} volume {volume.name}")
        except SwarmError as error:
            # Its words may as well mean that it lacks a program: only a volume it has not is gone.
            if error.code is not Code.NOT_FOUND or await self._known(volume.name) is not None:
                raise

    async def _let_go(self, volume: Volume, place: Place) -> None:
        """Takes back a mount that cannot be used; the plugin said that it is there."""
        try:
            await self._undo("Unmount", volume, "unmount", place.id)
        except SwarmError as error:
            log.warning("%s", error)

    async def _ask(self, verb: str, body: Mapping[str, object]) -> Answer:
        timeout = self._short if verb in _QUESTIONS else self._long
        try:
            return await self._connection.call(f"VolumeDriver.{verb}", body, timeout, patient=True)
        except SwarmError as error:
            self._activated = self._activated and error.code is not Code.UNAVAILABLE
            raise

    def _read(self, verb: str, read: Callable[[Answer], T], answer: Answer) -> T:
        try:
            return read(answer)
        except Lie as lie:
            raise faults.lied(self.name, verb, str(lie)) from None

    def _understood(self, volume: Volume) -> None:
        """Refuses what Docker's protocol has no words for, before anything is done."""
        if volume.block:
            raise faults.unsupported(self.name, "block devices", "plugins mount file systems")
        if volume.secrets:
            why = "Docker's protocol would hand them over as options, which plugins keep and show"
            raise faults.unsupported(self.name, "secrets", why)


def _known(told: Told) -> Known:
    path = Path(told.path) if told.path else None
    return Known(told.name, path, told.created_at, status=told.status or {})
