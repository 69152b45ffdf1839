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

    Until all of it is on the disk and was checked, it has another name. REFUSED where that cannot
    be done, or as `pieces` and `check` raise; what was at `path` is still there then.
    """
    with refused(f"cannot write {path}"):
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


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """What the system refuses within is REFUSED."""
    try:
        yield
    except OSError as error:
        raise SwarmError(Code.REFUSED, what, why=error.strerror or str(error)) from error
