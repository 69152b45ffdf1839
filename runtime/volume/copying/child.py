"""`python -m runtime.volume.copying.child`: saves a folder, or fills an empty one, as root.

    ... save ROOT --parent PID --name NAME --labels JSON [--live] > ARCHIVE
    ... fill ROOT --parent PID --free BYTES [--devices] < ARCHIVE

A process of its own, because it changes its root directory: so no link in a volume or an archive
leads beyond. The last line on standard error is one JSON object: what came of it, or {"error",
"kind"}, where the kind is `changed`, `invalid`, `limit` or `system`.
"""

import argparse
import ctypes
import dataclasses
import io
import json
import sys
import tempfile
import traceback  # noqa: F401  # nothing can be imported after the change of root
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from runtime.confined import confine, sync, system_failure
from runtime.image.stream import (
    CHUNK,
    DAMAGED,
    ForwardReader,
    InvalidLayer,
    LimitExceeded,
    decompress,
)
from runtime.volume.copying.reader import Limits, Reader
from runtime.volume.copying.writer import ChangedError, Writer

_LEVEL = 3
_ENDLESS = 1 << 62
_MOST_ENTRIES = 100_000_000


def main() -> int:
    """Exit code 0 if all of it was done, else 1."""
    arguments = _arguments()
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.TemporaryFile() as sums:  # opened before the change of root
        confine(libc, arguments.root, arguments.parent)
        answer = _answer(libc, arguments, sums)
    sys.stderr.write(json.dumps(answer))
    return 1 if "error" in answer else 0


def _answer(libc: ctypes.CDLL, arguments: argparse.Namespace, sums: Any) -> dict[str, Any]:  # noqa: ANN401 - a file
    try:
        if arguments.verb == "save":
            return _save(arguments, sums)
        answer = _fill(arguments, sums)
        sync(libc)
    except LimitExceeded as error:
        return {"error": str(error), "kind": "limit"}
    except InvalidLayer as error:
        return {"error": str(error), "kind": "invalid"}
    except DAMAGED as error:
        return {"error": f"its compression is damaged ({error})", "kind": "invalid"}
    except ChangedError as error:
        return {"error": f"{error!s} changed while it was read", "kind": "changed"}
    except (OSError, MemoryError) as error:
        return system_failure(error)
    return answer


def _save(arguments: argparse.Namespace, sums: BinaryIO) -> dict[str, Any]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(sys.stdout.buffer, write_size=CHUNK, closefd=False) as out:
        writer = Writer(out.write, sums, live=arguments.live)
        end = writer.run(arguments.name, json.loads(arguments.labels))
    sys.stdout.buffer.flush()
    return dataclasses.asdict(end)


def _fill(arguments: argparse.Namespace, sums: BinaryIO) -> dict[str, Any]:
    source = decompress(io.BufferedReader(io.FileIO(0, closefd=False), CHUNK))
    reader = ForwardReader(source, digest="sha256:", max_bytes=_ENDLESS)
    limits = Limits(arguments.free, arguments.devices, _MOST_ENTRIES)
    head, end = Reader(reader, sums, limits).run()
    return {**dataclasses.asdict(end), "labels": head.labels}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="child")
    parser.add_argument("verb", choices=("save", "fill"))
    parser.add_argument("root", type=Path)
    parser.add_argument("--parent", type=int, required=True, help="ends when this process does")
    parser.add_argument("--name", default="")
    parser.add_argument("--labels", default="{}")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--free", type=int, default=0)
    parser.add_argument("--devices", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
