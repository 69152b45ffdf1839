"""Where guardians come from: a small process that forks them, so that they share its memory.

    python -m runtime.volume.nursery GROUP

It takes orders on standard input, a line of JSON each, and answers with a line each. It ends with
the daemon that started it; guardians are nobody's children and go on. They are born in the control
group GROUP, which is not the daemon's.
"""

import gc
import json
import os
import signal
import sys
from typing import Any

from hostkit import cgroup
from runtime.volume import guardian


def _bear(order: dict[str, Any]) -> str:
    """Forks a guardian; what went wrong, or nothing once it answers on its socket."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _leave(order, write)
    os.close(write)
    with os.fdopen(read, "rb") as words:
        said = words.read().decode(errors="replace")
    os.waitpid(child, 0)
    return "" if said == "ready" else said or "it ended at once"


def _leave(order: dict[str, Any], words: int) -> None:
    """In the child: becomes nobody's. Never returns."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            guardian.become(order["folder"])
            made = guardian.Guardian(order["target"], order["until"], order["notice"])
        except OSError as error:
            os.write(words, str(error).encode())
            os._exit(1)
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.write(words, b"ready")
        os.close(words)
        guardian.live(made)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """The whole program; see the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cgroup.join(cgroup.make(cgroup.detect(), sys.argv[1]), os.getpid())
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        error = _bear(json.loads(line))
        sys.stdout.write(json.dumps({"error": error}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
