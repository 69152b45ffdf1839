"""`python -m runtime.image.unpack`: unpacks a layer from standard input into a directory, as root.

A process of its own, because it changes its root directory: so nothing in a layer can reach beyond.
It never runs as a fork of the daemon, and it ends when the daemon does. On standard output it
leaves one JSON object: {"entries", "size"}, or {"error", "kind"}, where the kind is `digest`,
`invalid`, `limit` or `system`.
"""

import argparse
import ctypes
import io
import json
import os
import resource
import signal
import sys
import traceback  # noqa: F401  # nothing can be imported after the change of root
from pathlib import Path
from typing import Any

from runtime.image import digest as digests
from runtime.image.extract import Extractor
from runtime.image.stream import (
    CHUNK,
    DAMAGED,
    ForwardReader,
    InvalidLayer,
    LimitExceeded,
    Section,
    decompress,
)

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MAX_MEMORY = 1 << 30


def main() -> int:
    """Exit code 0 if the layer is unpacked and on disk, else 1."""
    arguments = _arguments()
    libc = ctypes.CDLL(None, use_errno=True)
    _confine(libc, arguments)
    answer: dict[str, Any]
    try:
        answer = _unpack(libc, arguments)
    except LimitExceeded as error:
        answer = {"error": str(error), "kind": "limit"}
    except InvalidLayer as error:
        answer = {"error": str(error), "kind": "invalid"}
    except DAMAGED as error:
        answer = {"error": f"its compression is damaged ({error})", "kind": "invalid"}
    except (OSError, MemoryError) as error:
        answer = _system_failure(error)
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    return 1 if "error" in answer else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="unpack")
    parser.add_argument("--destination", type=Path, required=True, help="an empty directory")
    parser.add_argument("--diff-id", required=True, help="digest of the uncompressed layer")
    parser.add_argument("--size", type=int, required=True, help="bytes to read")
    parser.add_argument("--max-entries", type=int, required=True)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True, help="ends when this process does")
    return parser.parse_args()


def _confine(libc: ctypes.CDLL, arguments: argparse.Namespace) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != arguments.parent:
        sys.exit("the daemon has gone")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = _MAX_MEMORY if hard == resource.RLIM_INFINITY else min(hard, _MAX_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    os.umask(0)
    os.chroot(arguments.destination)
    os.chdir("/")


def _unpack(libc: ctypes.CDLL, arguments: argparse.Namespace) -> dict[str, Any]:
    section = io.BufferedReader(Section(sys.stdin.buffer, arguments.size), CHUNK)
    reader = ForwardReader(
        decompress(section), digest=arguments.diff_id, max_bytes=arguments.max_bytes
    )
    extractor = Extractor(reader, max_entries=arguments.max_entries, max_bytes=arguments.max_bytes)
    totals = extractor.run()
    found = reader.drain()
    if found != digests.encoded(arguments.diff_id):
        algorithm = arguments.diff_id.partition(":")[0]
        return {"error": f"{algorithm}:{found}", "kind": "digest"}
    _sync(libc)
    return {"entries": totals.entries, "size": totals.size}


def _sync(libc: ctypes.CDLL) -> None:
    """Puts the files on disk: after a rename, a crash must not leave empty ones behind."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(root) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(root)


def _system_failure(error: OSError | MemoryError) -> dict[str, Any]:
    if isinstance(error, OSError):
        place = f" ({os.fsdecode(error.filename)!a})" if error.filename else ""
        return {"error": f"{error.strerror}{place}", "kind": "system", "errno": error.errno}
    return {"error": "it needs more than 1 GiB of memory", "kind": "limit"}


if __name__ == "__main__":
    sys.exit(main())
