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
import sys
import traceback  # noqa: F401  # nothing can be imported after the change of root
from pathlib import Path
from typing import Any

from runtime.confined import confine, sync, system_failure
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


def main() -> int:
    """Exit code 0 if the layer is unpacked and on disk, else 1."""
    arguments = _arguments()
    libc = ctypes.CDLL(None, use_errno=True)
    confine(libc, arguments.destination, arguments.parent)
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
        answer = system_failure(error)
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
    sync(libc)
    return {"entries": totals.entries, "size": totals.size}


if __name__ == "__main__":
    sys.exit(main())
