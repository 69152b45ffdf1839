"""Speaks to a host's PID 1 from outside: the daemon's state, and its start and end.

Patience and escalation live here; init.py only obeys.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError

_ANSWER_LIMIT = 4096
_ANSWER_TIMEOUT = 10.0


@dataclass(frozen=True)
class DaemonStatus:
    """How a host's daemon is. Pids are those inside the host."""

    pid: int | None
    code: int | None  # of its last end: exit status, or minus the signal
    starts: int
    others: int  # processes of the host besides its PID 1, the daemon included
    paused: bool = False

    def __str__(self) -> str:
        if self.pid is not None:
            return "paused" if self.paused else "up"
        return "down" if self.code is None else f"down ({self.code})"


async def ask(socket: Path, request: str, timeout: float = _ANSWER_TIMEOUT) -> DaemonStatus:
    """One request of init.py and its answer. UNAVAILABLE if nobody listens, DEADLINE if late."""
    try:
        async with asyncio.timeout(timeout):
            answer = json.loads(await _exchange(socket, request))
    except TimeoutError:
        raise SwarmError(
            Code.DEADLINE, f"{socket}: no answer to {request}", why=f"waited {timeout:g} s"
        ) from None
    except (OSError, ValueError) as error:
        raise SwarmError(
            Code.UNAVAILABLE, f"{socket}: nobody answers", why=str(error), remedy="is it running?"
        ) from None
    if answer["failure"]:
        raise SwarmError(Code.INTERNAL, "the daemon cannot be started", why=answer["failure"])
    return DaemonStatus(
        answer["daemon"],
        answer["code"],
        answer["starts"],
        answer["others"],
        bool(answer["paused"]),
    )


async def stop_daemon(socket: Path, grace: float) -> DaemonStatus:
    """End the daemon: SIGTERM, and SIGKILL after `grace` seconds."""
    try:
        return await ask(socket, "stop", timeout=grace)
    except SwarmError as error:
        if error.code is not Code.DEADLINE:
            raise
    return await ask(socket, "kill")


async def shut_down(socket: Path, grace: float, steps: int = 40) -> None:
    """End the daemon, then ask all else to end and give it 2 s: PID 1 alone, or nearly, is left."""
    with contextlib.suppress(SwarmError):
        await stop_daemon(socket, grace)
        status = await ask(socket, "shutdown")
        for _ in range(steps):
            if status.others == 0:
                return
            await asyncio.sleep(0.05)
            status = await ask(socket, "status")


async def _exchange(socket: Path, request: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_ANSWER_LIMIT)
    try:
        writer.write(request.encode() + b"\n")
        return await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
