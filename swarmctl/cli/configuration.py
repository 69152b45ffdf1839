"""The operator's own configuration: a folder, and files in it that are replaced as a whole."""

import contextlib
import os
import tempfile
from pathlib import Path


def folder() -> Path:
    """`$XDG_CONFIG_HOME/swarmctl`, else `~/.config/swarmctl`; it need not be there."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".config"
    return base / "swarmctl"


def write(path: Path, text: str) -> None:
    """Makes or replaces a file below the folder; it and its folders are the operator's alone."""
    for each in (folder(), path.parent):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600, and under a name that no reader takes for one of theirs.
    handle, fresh = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
