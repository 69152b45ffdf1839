"""Commands in a virtual machine through qemu's guest agent: the back door, without a network."""

import base64
import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.machine_vms.json_socket import JsonSocket

_STEP = 0.2
_ANSWER = 60.0
_DELIMITER = b"\xff"
"""Tells the agent to forget half a request (qemu-ga: guest-sync-delimited)."""


_ENVIRONMENT = ("HOME=/root", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
_STREAMS = ("out-data", "err-data")


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: bytes
    err: bytes


def execute(
    socket: Path, argv: Sequence[str], *, given: bytes = b"", timeout: float = 60.0
) -> Answer:
    """Runs a command as root to its end. OSError if no agent answers."""
    with _agent(socket) as agent:
        words = {"path": "/usr/bin/env", "arg": ["-i", *_ENVIRONMENT, *argv]}
        stdin = {"input-data": base64.b64encode(given).decode()} if given else {}
        arguments = {**words, **stdin, "capture-output": True}
        agent.send({"execute": "guest-exec", "arguments": arguments})
        pid = agent.answer()["pid"]
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            agent.send({"execute": "guest-exec-status", "arguments": {"pid": pid}})
            status = agent.answer()
            if status["exited"]:
                out, err = (base64.b64decode(status.get(key, "")) for key in _STREAMS)
                return Answer(status.get("exitcode", -status.get("signal", 1)), out, err)
            time.sleep(_STEP)
    raise TimeoutError(f"{argv} did not end within {timeout:g} s")


def answers(socket: Path) -> bool:
    """Whether there is an agent, and it is well."""
    try:
        with _agent(socket, timeout=2.0) as agent:
            agent.send({"execute": "guest-ping"})
            agent.answer()
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _agent(socket: Path, timeout: float = _ANSWER) -> Iterator[JsonSocket]:
    connection = JsonSocket(socket, timeout)
    try:
        number = secrets.randbits(31)
        sync = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        connection.send(sync, before=_DELIMITER)
        # What an earlier connection left unread comes before the delimiter.
        wanted = str(number).encode()
        while not ((line := connection.line()).startswith(_DELIMITER) and wanted in line):
            pass
        yield connection
    finally:
        connection.close()
