"""Lab hosts whose daemons have a wall clock that may be set wrong while they run.

By libfaketime (Debian's faketime), which reads a file of the host's disk on every question, and
leaves CLOCK_MONOTONIC and CLOCK_BOOTTIME alone. Only swarmd itself is deceived: its children would
inherit more of the library than their clocks.

As a script: `wrong_clock.py PROGRAM ARGUMENT...` runs a Python program in its place.
"""

import os
import runpy
import select
import sys
import time
from pathlib import Path
from typing import Any

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
FILE = "wall-clock"
AROUND = (
    "env",
    f"LD_PRELOAD={LIBRARY}",
    "FAKETIME_DONT_FAKE_MONOTONIC=1",
    "FAKETIME_NO_CACHE=1",
    f"FAKETIME_TIMESTAMP_FILE={{state}}/{FILE}",
    sys.executable,
    str(Path(__file__).absolute()),
)
"""What to put before the command of a daemon (machine.drivers.lab.command)."""


def set_wrong(state: Path, seconds: int) -> None:
    """By how much the wall clock of a host's daemon is wrong; `state`: the host's disk."""
    fresh = state / f"{FILE}.fresh"
    fresh.write_text(f"{seconds:+d}\n", encoding="ascii")
    fresh.rename(state / FILE)


def _sleep(seconds: Any) -> None:
    select.select([], [], [], seconds)


def main() -> None:
    """Becomes the program."""
    del os.environ["LD_PRELOAD"]
    # The library gets a wait until a moment of CLOCK_MONOTONIC wrong, by which `sleep` is made.
    time.sleep = _sleep
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
