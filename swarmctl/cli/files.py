"""Files with keys in them: in a folder of their own, readable by their owner alone; a file that is
there already is never replaced.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from api.errors import Code, SwarmError


def write_private(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files 0600 into the folder, which is made if need be and is 0700 from then on."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, content in files.items():
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(content)
    except OSError as error:
        raise SwarmError(
            Code.REFUSED, f"cannot write to {folder}", why=error.strerror or str(error)
        ) from error
