"""Copies what an image has at the place of a volume into that, while it is empty: Docker's copy-up.

By a program with a deadline, since a volume may be of any file system. A copy that was cut off is
begun anew: until it is whole it lies in a folder of its own within the volume. Blocking.
"""

import os
import subprocess
import sys
from pathlib import Path

from api.errors import Code, SwarmError
from runtime.driver import Fill
from runtime.layout import ContainerPaths

_PROJECT = Path(__file__).resolve().parents[1]
_DEADLINE = 600.0


def fill(fills: tuple[Fill, ...], paths: ContainerPaths) -> None:
    """Fills each that has something to get; `paths`: of a container whose layers are mounted.

    UNAVAILABLE if the volume does not take it.
    """
    for each in fills:
        argv = [sys.executable, "-P", "-m", "runtime.fill_child"]
        argv += [str(paths.merged), each.target, str(each.volume)]
        why = ""
        try:
            done = subprocess.run(
                argv,
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_PROJECT)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_DEADLINE,
                check=False,
            )
            if done.returncode:
                why = " | ".join(done.stderr.decode(errors="replace").splitlines()[-3:])
        except subprocess.TimeoutExpired:
            why = f"{_DEADLINE:g} s are over"
        if why:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"what the image has in {each.target} cannot be copied into the volume",
                why=why,
                remedy="add volume-nocopy to the mount if the volume is to stay empty",
            )
