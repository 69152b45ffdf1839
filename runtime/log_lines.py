"""The lines of conmon's k8s-file log: `TIME stdout|stderr F|P text`. Pure.

P marks a piece of a line that is not yet complete, F its last piece or a whole line.
"""

import functools
import re
from collections.abc import Iterable
from datetime import datetime

from api.times import NANOS
from runtime.driver import LogLine, Stream

_STREAMS: dict[bytes, Stream] = {b"stdout": "stdout", b"stderr": "stderr"}
_TAGS = {b"F": False, b"P": True}
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FIELDS = 4
_DIGITS = 9  # of a fraction of a second, in nanoseconds


def parse(line: bytes) -> LogLine | None:
    """One line without its newline; None if it is none of conmon's, as one cut off by a crash."""
    fields = line.split(b" ", _FIELDS - 1)
    if len(fields) != _FIELDS:
        return None
    stream, partial = _STREAMS.get(fields[1]), _TAGS.get(fields[2])
    at = _nanos(fields[0])
    if stream is None or partial is None or at is None:
        return None
    return LogLine(at, stream, fields[3], partial)


def parse_all(lines: Iterable[bytes]) -> list[LogLine]:
    """All that can be parsed, in order."""
    return [parsed for parsed in map(parse, lines) if parsed is not None]


def tail_start(data: bytes, count: int) -> tuple[int, int]:
    """Where in `data` the last `count` whole lines begin, and how many there really are.

    Pieces belong to the line that they end in. `data` must begin at the start of a line.
    """
    *lines, unfinished = data.split(b"\n")
    position, found = len(data), 0
    if unfinished:
        lines.append(unfinished)
        position += 1  # where its newline will be
    for line in reversed(lines):
        if not _is_piece(line):
            if found == count:
                break
            found += 1
        position -= len(line) + 1
    return min(position, len(data)), found


def _is_piece(line: bytes) -> bool:
    fields = line.split(b" ", _FIELDS - 1)
    return len(fields) == _FIELDS and fields[2] == b"P"


def _nanos(text: bytes) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    moment = _moment(match[1] + match[3])
    if moment is None:
        return None
    return moment * NANOS + int((match[2] or b"")[1:10].ljust(_DIGITS, b"0"))


@functools.lru_cache(maxsize=256)
def _moment(text: bytes) -> int | None:
    # Neighbouring lines share their second: most calls end in the cache.
    try:
        return int(datetime.fromisoformat(text.decode("ascii")).timestamp())
    except ValueError:
        return None
