"""The daemon's side of guardians: starts them, finds those that a former daemon started, tells them
of renewals, and hears of their end.

A guardian that does not answer holds nobody up: renewals are sent and not waited for.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from hostkit import cgroup, mount
from hostkit.child import Child, line
from runtime.volume.driver import Server
from runtime.volume.guard import notice_of
from runtime.volume.guardian import END, LINE_LIMIT, SOCKET

log = logging.getLogger(__name__)

_PROJECT = Path(__file__).resolve().parents[2]
_ANSWER = 5.0
"""Seconds for an answer to what needs no work."""
_START = 60.0
"""The same where a Python has to start first: on a slow processor that takes long."""
_GRACE = 2.0
KILLED = "its guardian was killed, which ends the mount: its lease ran out while it could not run"
_INTERNAL = "the guardian of the volume cannot be started"


@dataclass(frozen=True, slots=True)
class End:
    """Why a guardian is gone. `killed`, `unmounted`: what it says that it has done."""

    why: str
    killed: bool = False
    unmounted: bool = False


class GuardianLink:
    """A guardian that lives: the Keeper of a mount. `gone` is done once it is not any more."""

    def __init__(
        self, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._asked = 0
        self.gone: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen(), name=f"guardian {folder.name}")

    async def serve(self, server: Server, target: Path, deadline: float) -> int:
        """See Keeper."""
        order = asdict(server)
        order["files"] = {name: data.decode("latin-1") for name, data in server.files.items()}
        program = server.command[0]
        words = {"do": "serve", "deadline": deadline, **order}
        answer = await self._ask(words, deadline + _ANSWER)
        if "error" in answer:
            raise SwarmError(Code.UNAVAILABLE, f"{program} serves no mount", why=answer["error"])
        return int(answer["pid"])

    def renew(self, until: float) -> None:
        """The lease lasts until this moment of CLOCK_BOOTTIME."""
        self._send({"do": "renew", "until": until})

    async def users(self, groups: Sequence[str]) -> None:
        """The control groups of the containers that use the mount are these, and no others."""
        await self._ask({"do": "users", "groups": list(groups)})

    async def leave(self) -> None:
        """The mount is about to be taken away: that its server ends is in order."""
        with contextlib.suppress(SwarmError):  # what is gone, or stopped, is in nobody's way
            await self._ask({"do": "leave"})

    async def dismiss(self) -> None:
        """The mount is taken away: it may go."""
        if not self.gone.done():
            with contextlib.suppress(SwarmError):
                await self._ask({"do": "dismiss"})
            await asyncio.wait({self.gone}, timeout=_GRACE)
        self.close()

    def close(self) -> None:
        """Listens no more; the guardian goes on."""
        self._listening.cancel()
        self._writer.close()

    def _send(self, words: Mapping[str, Any]) -> "asyncio.Future[Mapping[str, Any]]":
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        if self.gone.done():
            answer.set_exception(_gone(self.gone.result()))
        else:
            self._asked += 1
            self._answers[self._asked] = answer
            self._writer.write(json.dumps({"n": self._asked, **words}).encode() + b"\n")
        answer.add_done_callback(_retrieve)
        return answer

    async def _ask(self, words: Mapping[str, Any], seconds: float = _ANSWER) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await self._send(words)
        except TimeoutError:
            raise SwarmError(
                Code.DEADLINE,
                "the guardian of the volume does not answer",
                why=f"{seconds:g} s are over",
                remedy=f"look whether its process is stopped; it is the one in {self._folder}",
            ) from None

    async def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await self._reader.readline():
                words = json.loads(line)
                answer = self._answers.pop(words["n"], None)
                if answer is not None and not answer.done():
                    answer.set_result(words)
        self._writer.close()
        end = end_of(self._folder)
        self.gone.set_result(end)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_gone(end))


class Guardians:
    """Those of one host. `folder`: where each has its own, on a file system of memory; `group`:
    their control group.
    """

    def __init__(self, folder: Path, group: str) -> None:
        self._folder = folder
        self._group = group
        self._nursery: Child | None = None
        self._lock = asyncio.Lock()

    def folder(self, id: str) -> Path:
        """The folder of one, whether it is there or not."""
        return self._folder / id

    async def start(
        self, id: str, target: Path, *, until: float | None, term: float
    ) -> GuardianLink:
        """A guardian for a mount at `target`; `until`: when its lease ends, None: it has none.

        Cancelled, it returns when `adopt` finds the guardian that was ordered, if there is one.
        """
        folder = self.folder(id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / END).unlink(missing_ok=True)
        order = {
            "folder": str(folder),
            "target": str(target),
            "until": until,
            "notice": notice_of(term),
        }
        ordering = asyncio.ensure_future(self._order(order))
        try:
            error = await asyncio.shield(ordering)
        except asyncio.CancelledError:
            await asyncio.wait({ordering})  # an answer that nobody reads is the next one's
            raise
        if error:
            raise SwarmError(Code.INTERNAL, _INTERNAL, why=error)
        link = await self.adopt(id)
        if link is None:
            raise SwarmError(Code.INTERNAL, _INTERNAL, why=end_of(folder).why)
        return link

    async def adopt(self, id: str) -> GuardianLink | None:
        """The guardian that a former daemon started; None if it is gone."""
        handle = -1
        try:
            handle = os.open(self.folder(id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            # The path of a socket has 107 bytes.
            path = f"/proc/self/fd/{handle}/{SOCKET}"
            async with asyncio.timeout(_ANSWER):
                reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT)
        except (OSError, TimeoutError):
            return None
        finally:
            if handle >= 0:
                os.close(handle)
        return GuardianLink(self.folder(id), reader, writer)

    def end(self, id: str) -> End:
        """Why one is gone."""
        return end_of(self.folder(id))

    def forget(self, id: str) -> None:
        """Takes the folder away of one that is gone, unless its mount is still there."""
        folder = self.folder(id)
        try:
            mount.remove_places(folder)
        except OSError as error:
            log.warning("%s stays: %s", folder, error)

    async def close(self) -> None:
        """Starts none any more; those that are there go on."""
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.stdin.close()
            await nursery.wait()
            await nursery.close()
            await asyncio.to_thread(cgroup.remove_empty, cgroup.detect(), self._group)

    async def _order(self, order: Mapping[str, Any]) -> str:
        """Passes it to the nursery, which is started where there is none; what went wrong."""
        async with self._lock:
            patience = _ANSWER
            try:
                if self._nursery is None or self._nursery.has_ended:
                    await self._new_nursery()
                    patience = _START
                assert self._nursery is not None  # noqa: S101 - it was made
                async with asyncio.timeout(patience):
                    await self._nursery.stdin.write(json.dumps(order).encode() + b"\n")
                    answer = await line(self._nursery.stdout, LINE_LIMIT)
                return str(json.loads(answer)["error"])
            except (OSError, ValueError, TimeoutError) as error:
                await self._end_nursery()
                return f"its starter is out of order: {error or 'no answer'}"

    async def _new_nursery(self) -> None:
        await self._end_nursery()
        self._nursery = Child(
            (sys.executable, "-P", "-m", "runtime.volume.nursery", self._group),
            stdin=True,
            stdout=True,
            env={**os.environ, "PYTHONPATH": str(_PROJECT)},
            cwd="/",
        )

    async def _end_nursery(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            await nursery.close()


def end_of(folder: Path) -> End:
    """What a guardian that is gone has left to say."""
    try:
        words = json.loads((folder / END).read_text(encoding="utf-8"))
        return End(words["why"], words["killed"], words["unmounted"])
    except (OSError, ValueError, KeyError):
        return End(KILLED)


def _gone(end: End) -> SwarmError:
    return SwarmError(Code.UNAVAILABLE, "the volume has been let go", why=end.why)


def _retrieve(answer: "asyncio.Future[Mapping[str, Any]]") -> None:
    """Nobody need hear of an answer that was not waited for."""
    if not answer.cancelled():
        answer.exception()
