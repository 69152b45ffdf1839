"""`swarmctl` on a host, through the way to that host: so no port but SSH's has to be reached.

Secrets go to it by standard input and come from it in its output, which is nowhere kept.
"""

from collections.abc import Sequence

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.layout import COMMAND
from machine.remote import Remote

LIMIT = 16 << 20
"""Bytes of an answer: a thousand nodes in full are a fifth of it."""
_TALK = 2000
_TIME = 180.0  # Python alone takes half a minute to start on an emulated processor
_NOT_THERE = (126, 127)
_UNREACHABLE = 4


class Swarmctl:
    """Of one host. `socket`: where its daemon listens, if not at the usual place."""

    def __init__(self, remote: Remote, socket: str = "", program: str = COMMAND) -> None:
        self._remote = remote
        self._program = program
        self._options = ("-H", f"unix://{socket}") if socket else ()

    async def attempt(self, *words: str, stdin: bytes = b"", timeout: float = _TIME) -> Completed:
        """Runs a command, whatever comes of it; `timeout` in seconds."""
        argv = (self._program, *self._options, *words)
        return await self._remote.run(argv, stdin=stdin, timeout=timeout, limit=LIMIT)

    async def call(self, *words: str, stdin: bytes = b"", timeout: float = _TIME) -> str:
        """What a command prints. UNAVAILABLE if its daemon or a leader is not there, UNSUPPORTED if
        it is not installed, REFUSED, with what it says, for any other failure.
        """
        done = await self.attempt(*words, stdin=stdin, timeout=timeout)
        if done.code == 0:
            return done.text
        raise failure(self._remote.name, words, done)


def is_missing(done: Completed) -> bool:
    """Whether there is no swarmctl on the host."""
    return done.code in _NOT_THERE


def failure(host: str, words: Sequence[str], done: Completed) -> SwarmError:
    """The error for a command that failed; its own words, which name cause and remedy already."""
    if is_missing(done):
        return SwarmError(Code.UNSUPPORTED, f"{host} has no swarmctl")
    talk = done.err.decode(errors="replace")[-_TALK:].strip().removeprefix("swarmctl: ")
    code = Code.UNAVAILABLE if done.code == _UNREACHABLE else Code.REFUSED
    what = f"{host}: swarmctl {' '.join(words[:2])} failed"
    return SwarmError(code, what, why=talk or f"exit status {done.code}")
