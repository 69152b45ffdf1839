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
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError

PIECE = 256 * 1024
"""Bytes of a piece, at most."""
_PROJECT = Path(__file__).resolve().parents[3]
_MAX_COMPLAINT = 2000
_Child = subprocess.Popen[bytes]


async def save(
    root: Path, name: str, labels: Mapping[str, str], *, live: bool = False
) -> AsyncGenerator[bytes, None]:
    """The archive of what is in `root`, in pieces. `live`: whether files may change meanwhile.

    CONFLICT if they do and may not; UNAVAILABLE if something cannot be read.
    """
    words = ["--name", name, "--labels", json.dumps(dict(labels)), *(["--live"] if live else [])]
    child = _start("save", root, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    complaint = asyncio.create_task(asyncio.to_thread(_complaint, child))
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        while data := await asyncio.shield(
            asyncio.to_thread(os.read, child.stdout.fileno(), PIECE)
        ):
            yield data
        _check(f"volume {name} cannot be saved", await asyncio.shield(complaint))
    finally:
        await _end(child, complaint)


async def fill(
    root: Path, name: str, pieces: AsyncIterator[bytes], *, devices: bool = False
) -> dict[str, str]:
    """Fills the empty folder `root` from an archive, all of it checked; its labels.

    What is there afterwards is on the disk. INVALID if it is no whole archive, EXHAUSTED if there
    is no room for it; then something may be in the folder.
    """
    usage = await asyncio.to_thread(shutil.disk_usage, root)
    words = ["--free", str(usage.free), *(["--devices"] if devices else [])]
    child = _start("fill", root, words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    complaint = asyncio.create_task(asyncio.to_thread(_complaint, child))
    try:
        await _feed(child, pieces)
        return dict(
            _check(f"volume {name} cannot be filled", await asyncio.shield(complaint))["labels"]
        )
    finally:
        await _end(child, complaint)


async def _feed(child: _Child, pieces: AsyncIterator[bytes]) -> None:
    """Until the end of either; what the child has against it, it says itself."""
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    with child.stdin as stdin:
        async for piece in pieces:
            try:
                await asyncio.shield(asyncio.to_thread(stdin.write, piece))
            except BrokenPipeError:
                return


def _start(verb: str, root: Path, words: list[str], *, stdin: int, stdout: int) -> _Child:
    """Not by the event loop, and not in another thread: see runtime.image.unpacker."""
    return subprocess.Popen(
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


def _complaint(child: _Child) -> dict[str, Any]:
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


async def _end(child: _Child, complaint: "asyncio.Task[dict[str, Any]]") -> None:
    if not complaint.done():
        child.kill()
        await asyncio.wait({complaint})
    if child.stdout is not None:
        child.stdout.close()


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
