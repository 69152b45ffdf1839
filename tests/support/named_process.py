"""Processes with names of any bytes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def process_called(name: bytes, folder: Path) -> Iterator[int]:
    """The pid of one that runs until the block ends; its program is put into the folder."""
    program = os.fsencode(folder) + b"/" + name
    shutil.copy(b"/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            process.stdin.write(b"begun\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"begun\n"
            yield process.pid
