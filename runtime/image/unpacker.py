"""Runs the unpacking processes, one per core at most, and names what goes wrong in them."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from runtime.image import faults

_PROJECT = Path(__file__).resolve().parents[2]
_MAX_COMPLAINT = 2000


@dataclass(frozen=True)
class Limits:
    """What one layer may come to; generous, and there to stop bombs."""

    max_entries: int = 2_000_000
    max_bytes: int = 128 << 30


@dataclass(frozen=True)
class Part:
    """`size` bytes at `offset` of a file: a layer as a blob of its own, or inside an archive."""

    path: Path
    offset: int
    size: int


class Unpacker:
    """Unpacks layers into directories. One per store."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._gate = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def unpack(self, part: Part, diff_id: str, destination: Path) -> dict[str, Any]:
        """Unpacks `part` into the empty directory `destination`, puts it on disk and verifies it.

        Returns its facts, {"entries", "size"}. SwarmError REFUSED if it does not hash to
        `diff_id`, INVALID if it is no layer, EXHAUSTED if it is too large for this host.
        """
        async with self._gate:
            code, output, complaint = await self._run(part, diff_id, destination)
        try:
            answer: dict[str, Any] = json.loads(output)
        except ValueError:
            answer = {"error": complaint or f"it ended with {code}", "kind": "system"}
        if "error" in answer:
            raise _failure(diff_id, answer)
        return answer

    async def _run(self, part: Part, diff_id: str, destination: Path) -> tuple[int, bytes, str]:
        child = self._start(part, diff_id, destination)
        ended = asyncio.ensure_future(asyncio.to_thread(child.communicate))
        try:
            output, complaint = await asyncio.shield(ended)
        except BaseException:
            child.kill()
            await asyncio.wait({ended})
            raise
        return child.returncode, output, complaint.decode(errors="replace")[-_MAX_COMPLAINT:]

    def _start(self, part: Part, diff_id: str, destination: Path) -> "subprocess.Popen[bytes]":
        """Not by the event loop: that of uvloop forks, while threads of gRPC run. And not in
        another thread, with whose end the kernel would take the parent for dead.
        """
        arguments = {
            "--destination": str(destination),
            "--diff-id": diff_id,
            "--size": str(part.size),
            "--max-entries": str(self._limits.max_entries),
            "--max-bytes": str(self._limits.max_bytes),
            "--parent": str(os.getpid()),
        }
        words = [word for pair in arguments.items() for word in pair]
        with part.path.open("rb", buffering=0) as file:
            file.seek(part.offset)
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "runtime.image.unpack", *words],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={"PYTHONPATH": str(_PROJECT), "PYTHONUTF8": "1", "PATH": os.defpath},
            )


def _failure(diff_id: str, answer: dict[str, Any]) -> SwarmError:
    what, why = f"layer {diff_id}", str(answer["error"])
    if answer["kind"] == "digest":
        return faults.mismatch(what, diff_id, why)
    if answer["kind"] == "invalid":
        return SwarmError(
            Code.INVALID, f"{what} is malformed", why=why, remedy="push or save the image again"
        )
    if answer["kind"] == "limit":
        return SwarmError(Code.EXHAUSTED, f"{what} is too large for this host", why=why)
    return SwarmError(Code.INTERNAL, f"{what} could not be unpacked", why=why.strip())
