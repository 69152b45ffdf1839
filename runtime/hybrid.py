"""A wrapper that lets crun work on hosts with both versions of control groups.

crun refuses a host that has version 1 hierarchies and any controller left in version 2. The
wrapper runs it in a mount namespace of its own, from which the version 2 mount is gone. Only crun
is wrapped: overlay mounts made in a private namespace would be lost to a restarted daemon.
"""

import logging
import os
import shutil
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

# The shell form spends two to three milliseconds per call on its five programs, this one half.
_C = """\
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>
int main(int count, char **arguments) {
  (void)count;
  if (unshare(CLONE_NEWNS) || mount("", "/", 0, MS_REC | MS_SLAVE, 0)) return 126;
  umount2(UNIFIED, MNT_DETACH);
  arguments[0] = "crun";
  execv(CRUN, arguments);
  return 127;
}
"""
_SHELL = """\
#!/bin/sh
exec unshare -m --propagation slave sh -c \\
  'umount "$1" 2>/dev/null; crun=$2; shift 2; exec "$crun" "$@"' sh '{unified}' '{crun}' "$@"
"""
_TIMEOUT = 30.0


def make_wrapper(directory: Path, crun: Path, unified: Path) -> Path:
    """Writes the wrapper into `directory`, compiled if there is a C compiler; its path."""
    target = directory / "crun"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not _compile(compiler, target, crun, unified):
        _replace(target, _SHELL.format(unified=unified, crun=crun).encode())
    return target


def _compile(compiler: str, target: Path, crun: Path, unified: Path) -> bool:
    made = target.with_suffix(".new")
    command = [compiler, "-static", "-O2", "-x", "c", "-", "-o", str(made)]
    command += [f'-DCRUN="{crun}"', f'-DUNIFIED="{unified}"']
    try:
        done = subprocess.run(  # noqa: PLW1510
            command, input=_C.encode(), capture_output=True, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.info("no compiled wrapper for crun: %s", error)
        return False
    if done.returncode != 0:
        log.info("no compiled wrapper for crun: %s", done.stderr.decode(errors="replace").strip())
        return False
    made.replace(target)
    return True


def _replace(target: Path, content: bytes) -> None:
    made = target.with_suffix(".new")
    made.write_bytes(content)
    os.chmod(made, 0o700)
    made.replace(target)
