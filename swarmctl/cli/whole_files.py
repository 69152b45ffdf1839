"""Files that a command writes for the operator: whole, or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from api.errors import Code, SwarmError
from hostkit.durable import sync_folder

T = TypeVar("T")


def write_whole(path: Path, pieces: Iterable[bytes], check: Callable[[Path], T]) -> T:
    """Writes a file, 0600, in place of what `path` was; what `check` answers.

    Until all of it is on the disk and was checked, it has another name. A link stays one, and its
    file is written. REFUSED where that cannot be done, as where a device or a pipe is, or as
    `pieces` and `check` raise; what was at `path` is still there then.
    """
    with refused(f"cannot write {path}"):
        path = _replaceable(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    try:
        with refused(f"cannot write {path}"), os.fdopen(handle, "wb") as out:
            for piece in pieces:
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        checked = check(fresh)
        with refused(f"cannot write {path}"):
            fresh.replace(path)
            sync_folder(path.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return checked


def _replaceable(path: Path) -> Path:
    """The file that is meant, behind links: /dev/null would be gone if a file took its place."""
    if path.exists() and not path.is_file():
        raise SwarmError(
            Code.REFUSED,
            f"cannot write {path}",
            why="it is no regular file, and a file would take its place",
            remedy="name a file, new or to be replaced",
        )
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """What the system refuses within is REFUSED."""
    try:
        yield
    except OSError as error:
        raise SwarmError(Code.REFUSED, what, why=error.strerror or str(error)) from error
