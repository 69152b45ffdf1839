"""Saves a folder as a stream of bytes, and fills one from such a stream: the daemon's side.

The work is done in `child`; here it is started, fed, read, and ended. A stream that nobody takes
any more holds its process back, and one that is broken off ends it.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from api.errors import Code, SwarmError

PIECE = 256 * 1024
"""Bytes of a piece, at most."""
_PROJECT = Path(__file__).resolve().parents[3]
_MAX_COMPLAINT = 2000
_T = TypeVar("_T")


async def save(
    root: Path, name: str, labels: Mapping[str, str], *, live: bool = False
) -> AsyncGenerator[bytes, None]:
    """The archive of what is in `root`, in pieces. `live`: whether files may change meanwhile.

    CONFLICT if they do and may not; UNAVAILABLE if something cannot be read.
    """
    words = ["--name", name, "--labels", json.dumps(dict(labels)), *(["--live"] if live else [])]
    child = _Child("save", root, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        while data := await child.read():
            yield data
        _check(f"volume {name} cannot be saved", await child.answer())
    finally:
        await child.end()


async def fill(
    root: Path, name: str, pieces: AsyncIterator[bytes], *, devices: bool = False
) -> dict[str, str]:
    """Fills the empty folder `root` from an archive, all of it checked; its labels.

    What is there afterwards is on the disk. INVALID if it is no whole archive, EXHAUSTED if there
    is no room for it; then something may be in the folder.
    """
    usage = await asyncio.to_thread(shutil.disk_usage, root)
    words = ["--free", str(usage.free), *(["--devices"] if devices else [])]
    child = _Child("fill", root, words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        async for piece in pieces:
            if not await child.write(piece):
                break  # what it has against it, it says itself
        child.end_input()
        answer = _check(f"volume {name} cannot be filled", await child.answer())
        return dict(answer["labels"])
    finally:
        await child.end()


class _Child:
    """The process. It has threads of its own: those of all would be in short supply for others."""

    def __init__(self, verb: str, root: Path, words: list[str], *, stdin: int, stdout: int) -> None:
        # Not by the event loop, and not in another thread: see runtime.image.unpacker.
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "runtime.volume.copying.child", verb, str(root)),
                *("--parent", str(os.getpid()), *words),
            ],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={"PYTHONPATH": str(_PROJECT), "PYTHONUTF8": "1", "PATH": os.defpath},
        )
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="volume")
        self._answer = self._threads.submit(_last_word, self._process)

    async def read(self) -> bytes:
        """The next piece of its output; empty after the last."""
        assert self._process.stdout is not None  # noqa: S101 - see `save`
        return await self._run(os.read, self._process.stdout.fileno(), PIECE)

    async def write(self, data: bytes) -> bool:
        """Gives it input, once there is room; False if it reads no more."""
        try:
            await self._run(self._write, data)
        except BrokenPipeError:
            return False
        return True

    def end_input(self) -> None:
        """There is no more."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def answer(self) -> dict[str, Any]:
        """What it says at its end."""
        return await asyncio.shield(asyncio.wrap_future(self._answer))

    async def end(self) -> None:
        """Ends it, if it has not yet, and returns once it is gone."""
        self._process.kill()
        await asyncio.to_thread(self._threads.shutdown)  # which is at once, now that it is dead
        self.end_input()
        if self._process.stdout is not None:
            self._process.stdout.close()

    async def _run(self, work: Callable[..., _T], *words: object) -> _T:
        """Goes on in its thread if nobody waits any more: `end` wakes it."""
        return await asyncio.shield(asyncio.wrap_future(self._threads.submit(work, *words)))

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - see `fill`
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]


def _last_word(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What it says last; blocks until it has ended."""
    assert child.stderr is not None  # noqa: S101 - it is a pipe
    with child.stderr as stderr:
        text = stderr.read().decode(errors="replace")
    code = child.wait()
    try:
        answer = json.loads(text[text.rfind("\n") + 1 :])
    except ValueError:
        answer = None
    if isinstance(answer, dict) and (code == 0 or "error" in answer):
        return answer
    return {"error": text[-_MAX_COMPLAINT:] or f"it ended with {code}", "kind": "system"}


def _check(what: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer; SwarmError if it is one of failure."""
    if "error" not in answer:
        return answer
    why = str(answer["error"]).strip()
    if answer["kind"] == "changed":
        raise SwarmError(
            Code.CONFLICT, what, why=why, remedy="stop what writes there, or say --live"
        )
    if answer["kind"] == "invalid":
        raise SwarmError(Code.INVALID, what, why=why, remedy="take another copy of the archive")
    if answer["kind"] == "limit":
        raise SwarmError(Code.EXHAUSTED, what, why=why, remedy="make room, or use another node")
    raise SwarmError(Code.UNAVAILABLE, what, why=why, remedy="see the log of swarmd on that node")
