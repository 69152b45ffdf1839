"""What this process has open. gRPC closes what it had some time after a test that used it."""

import contextlib
import os
from pathlib import Path


def open_files(below: Path | None = None) -> list[str]:
    """What the descriptors lead to: files below the folder, or all of them, sockets and pipes too,
    each with a number that no other one has.
    """
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the list itself
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [each for each in found if below is None or Path(each).is_relative_to(below)]
