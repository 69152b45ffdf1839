"""Files of the operator's store: his alone, and always replaced as a whole."""

import contextlib
import os
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.durable import sync_folder

LIMIT = 4 << 20
"""Bytes that a file of the store may have."""


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, for its owner alone, whatever the umask says."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):  # somebody was faster
        path.mkdir(mode=0o700)
        path.chmod(0o700)


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Makes or replaces a file durably: a reader finds the old content or the new one. OSError."""
    make_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(fresh, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        raise
    sync_folder(path.parent)


def read(path: Path) -> bytes | None:
    """A file's content, None if there is none; EXHAUSTED if it is longer than any of ours."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    if len(content) > LIMIT:
        raise SwarmError(Code.EXHAUSTED, f"{path} is too long", why=f"the limit is {LIMIT} bytes")
    return content
