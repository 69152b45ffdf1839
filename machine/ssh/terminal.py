"""Gives the operator's terminal to a program of OpenSSH, and waits for it.

What is typed, the window's size, forwarded ports and escapes are ssh's own business
(docs/decisions/0037). Nothing is read or written here in between.
"""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.child import Child
from machine.ssh.config import hops_of
from machine.ssh.connection import Circumstances, Connection
from machine.ssh.host_keys import KnownHosts
from machine.ssh.openssh import configuration
from machine.ssh.route import Hop, Lookup
from machine.target import Target

_PACKAGES = {"ssh": "openssh-client", "scp": "openssh-client", "sshfs": "sshfs", "rsync": "rsync"}


@dataclass(frozen=True)
class Acquaintance:
    """A machine that people go to: `around` as for SshRemote, of this machine."""

    name: str
    target: Target
    around: Circumstances


@contextlib.asynccontextmanager
async def configured(
    machines: Iterable[Acquaintance], *, lookup: Lookup | None = None
) -> AsyncIterator[Path]:
    """The file for `-F`, there meanwhile. Who was never seen is met first, and its key pinned.

    Raises as SshRemote.connect; OpenSSH itself would ask, or refuse, with no word of us.
    """
    ways = [(each, hops_of(each.target, lookup)) for each in machines]
    for machine, hops in ways:
        if all(_is_known(hop, machine.around.known) for hop in hops):
            continue
        loop = asyncio.get_running_loop()
        connection = Connection(machine.name, hops, machine.around, loop)
        try:
            await asyncio.to_thread(connection.open)
        finally:
            await asyncio.to_thread(connection.cut)
    text = configuration(
        [(each.name, hops, each.around.folder.absolute()) for each, hops in ways],
        ways[0][0].around.known.path.absolute(),
    )
    with tempfile.TemporaryDirectory(prefix="swarmctl-ssh-") as folder:
        path = Path(folder) / "config"
        path.write_text(text, encoding="utf-8")
        yield path


def _is_known(hop: Hop, known: KnownHosts) -> bool:
    keys = known.find(hop.known_as)
    return any(hop.host_key in ("", key.fingerprint) for key in keys)


def ssh(
    config: Path, machine: str, words: Sequence[str] = (), *, terminal: bool = False
) -> list[str]:
    """The command for a shell there, or for `words`: options of ssh, and a command with its words.

    `terminal`: the command gets one too, as `ssh -t`.
    """
    return ["ssh", "-F", str(config), *(["-t"] if terminal else []), machine, *words]


def sshfs(config: Path, machine: str, path: str, folder: Path) -> list[str]:
    """The command that shows a folder of the machine here, until it is unmounted."""
    return ["sshfs", "-F", str(config), f"{machine}:{path}", str(folder)]


async def run(argv: Sequence[str]) -> int:
    """Runs the program on this process's terminal; its exit status, 128 + N for signal N.

    An interrupt is the program's: it reaches it by the terminal. UNSUPPORTED if it is missing.
    """
    if shutil.which(argv[0]) is None:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"cannot run {argv[0]}",
            why="it is not installed on this machine",
            remedy=f"install it: apt-get install {_PACKAGES.get(argv[0], argv[0])}",
        )
    child = Child(argv, terminal=True)
    with _interrupts_ignored():
        try:
            code = await child.wait()
        finally:
            if not child.has_ended:
                child.terminate()  # not killed: it gives the terminal back as it was
                await asyncio.shield(asyncio.ensure_future(child.wait()))
            await child.close()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
