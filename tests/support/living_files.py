"""What is on the disk of a daemon that runs: files and folders of its go at any time."""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path


def contents(folder: Path, *, without: Collection[str] = ()) -> Iterator[tuple[Path, bytes]]:
    """Every file below, but for those in folders of these names."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()
