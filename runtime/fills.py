"""Copies what an image has at the place of a volume into that, while it is empty: Docker's copy-up.

By a program with a deadline, since a volume may be of any file system. A copy that was cut off is
begun anew: until it is whole it lies in a folder of its own within the volume. Blocking.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.clock import monotonic
from runtime.driver import Fill
from runtime.layout import ContainerPaths

_PROJECT = Path(__file__).resolve().parents[1]
_DEADLINE = 600.0


class Fills:
    """Those of one host: a volume is filled for one container at a time, and the others find it
    full.
    """

    def __init__(self) -> None:
        self._filling: set[Path] = set()
        self._done = threading.Condition()

    def fill(self, container: str, fills: tuple[Fill, ...], paths: ContainerPaths) -> None:
        """Fills each that has something to get; `paths`: of a container whose layers are mounted.

        UNAVAILABLE if the volume does not take it.
        """
        for each in fills:
            end = monotonic() + _DEADLINE
            if self._begin(each.volume):
                try:
                    why = _fill(container, each, paths, end - monotonic())
                finally:
                    self._end(each.volume)
            else:
                why = "another container fills it, and is not done"
            if why:
                raise SwarmError(
                    Code.UNAVAILABLE,
                    f"what the image has in {each.target} cannot be copied into the volume",
                    why=why,
                    remedy="add volume-nocopy to the mount if the volume is to stay empty",
                )

    def _begin(self, volume: Path) -> bool:
        with self._done:
            if self._done.wait_for(lambda: volume not in self._filling, _DEADLINE):
                self._filling.add(volume)
                return True
            return False

    def _end(self, volume: Path) -> None:
        with self._done:
            self._filling.discard(volume)
            self._done.notify_all()


def _fill(container: str, fill: Fill, paths: ContainerPaths, seconds: float) -> str:
    """Why it did not work, or nothing."""
    argv = [sys.executable, "-P", "-m", "runtime.fill_child"]
    argv += [str(paths.merged), fill.target, str(fill.volume), container, str(os.getpid())]
    try:
        done = subprocess.run(
            argv,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_PROJECT)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=max(0.0, seconds),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{_DEADLINE:g} s are over"
    if not done.returncode:
        return ""
    said = " | ".join(done.stderr.decode(errors="replace").splitlines()[-3:])
    return said or f"exit status {done.returncode}"
