"""Files of a host, read and replaced by small commands: the same over SSH and on the host itself.

Content goes through standard input and output, so that root's files need neither sftp nor another
user's folder. A file is replaced only once all of it has come and is on the disk, and no other
command of ours works there; whatever happens before, the old one stays and nothing else is left.
"""

import io
import os
import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from api.errors import Code, SwarmError, invalid
from hostkit.conversation import Source
from hostkit.process import Completed
from machine import succession

PATIENCE = 60.0
"""Seconds for a file of no length."""
_SLOWEST = 16 << 10
"""Bytes a second that a way must carry at least."""
_NONE, _ODD, _PART = 44, 45, 46  # exit statuses of the scripts

_READ = f"""
[ -e "$1" ] || exit {_NONE}
[ -f "$1" ] || exit {_ODD}
exec head -c "$2" -- "$1"
"""
_WRITE = f"""
set -eu
umask 022
mkdir -p -- "$2"
umask 077
fresh=$(mktemp -- "$2/.swarm.XXXXXXXXXX")
trap 'rm -f -- "$fresh"' EXIT
trap 'exit {_PART}' HUP INT TERM PIPE
chown -- "$4" "$fresh"
chmod -- "$5" "$fresh"
head -c "$3" >"$fresh"
[ "$(stat -c %s -- "$fresh")" = "$3" ] || exit {_PART}
sync -- "$fresh"
exec 9<{succession.LOCKED}
flock -w {succession.PATIENCE} -E {succession.BUSY} 9
mv -fT -- "$fresh" "$1"
sync -- "$2"
"""


class Feeds(Protocol):
    """Runs a command as root, fed from a source; `sent` gets bytes so far."""

    async def __call__(
        self,
        argv: tuple[str, ...],
        feed: Source,
        *,
        timeout: float,
        limit: int,
        sent: Callable[[int], None] | None = None,
    ) -> Completed:
        """As Remote.run."""
        ...


async def read(run: Feeds, machine: str, path: str, limit: int) -> bytes | None:
    """See Remote.read."""
    _check(path)
    argv = ("sh", "-c", _READ, "read", path, str(limit + 1))
    done = await run(argv, io.BytesIO(), timeout=_patience(limit), limit=limit + 1)
    if done.code == _NONE:
        return None
    if done.code != 0:
        why = "it is no file" if done.code == _ODD else _talk(done)
        raise SwarmError(Code.INTERNAL, f"cannot read {path} on {machine}", why=why)
    if len(done.out) > limit:
        raise SwarmError(
            Code.EXHAUSTED, f"cannot read {path} on {machine}", why=f"longer than {limit} bytes"
        )
    return done.out


async def write(
    run: Feeds, machine: str, path: str, content: bytes, *, mode: int, owner: str
) -> None:
    """See Remote.write."""
    await _replace(run, machine, path, io.BytesIO(content), len(content), mode, owner)


async def upload(
    run: Feeds,
    machine: str,
    source: Path,
    path: str,
    *,
    mode: int,
    sent: Callable[[int], None] | None,
) -> None:
    """See Remote.upload; NOT_FOUND or DENIED if the file cannot be read here."""
    try:
        file = source.open("rb")
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.DENIED
        raise SwarmError(code, f"cannot read {source}", why=str(error.strerror).lower()) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        await _replace(run, machine, path, file, size, mode, "root:root", sent)


async def _replace(
    run: Feeds,
    machine: str,
    path: str,
    source: Source,
    size: int,
    mode: int,
    owner: str,
    sent: Callable[[int], None] | None = None,
) -> None:
    _check(path)
    folder = posixpath.dirname(path)
    argv = ("sh", "-c", _WRITE, "write", path, folder, str(size), owner, f"{mode:o}")
    done = await run(argv, source, timeout=_patience(size), limit=1 << 16, sent=sent)
    if done.code == 0:
        return
    if done.code == succession.BUSY:
        raise succession.still_works(machine)
    talk = _talk(done)
    if "No space left" in talk or "quota exceeded" in talk:
        raise SwarmError(
            Code.EXHAUSTED,
            f"cannot write {path} on {machine}",
            why="no space is left there; the old file stays",
            remedy=f"make room (df -h {folder}), then do the same again",
        )
    why = talk
    if done.code == _PART:
        why = "not all of it has arrived; the old file stays"
    raise SwarmError(Code.INTERNAL, f"cannot write {path} on {machine}", why=why)


def _check(path: str) -> None:
    if not path.startswith("/") or path.endswith("/"):
        raise invalid("path", f"{path!r} is no absolute path of a file")


def _patience(size: int) -> float:
    return PATIENCE + succession.PATIENCE + size / _SLOWEST


def _talk(done: Completed) -> str:
    lines = done.err.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {done.code}"
