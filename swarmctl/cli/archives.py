"""Archives of volumes on this side: written whole or not at all, read in pieces, with a line that
says how far they are.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from api.errors import Code, SwarmError
from api.v1 import volume_pb2
from swarmctl.cli.units import size
from swarmctl.cli.whole_files import refused, write_whole

PIECE = 256 * 1024
_REDRAWN = 0.2
"""Seconds between two states of the line."""


class Tally:
    """How many bytes have passed, on standard error: as it goes on a terminal, else at the end."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._bytes = 0
        self._drawn = _now()

    def count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, counted."""
        for piece in pieces:
            self._bytes += len(piece)
            if sys.stderr.isatty() and _now() - self._drawn >= _REDRAWN:
                self._drawn = _now()
                click.echo(f"\r{self._verb} {size(self._bytes)}\x1b[K", err=True, nl=False)
            yield piece

    def end(self) -> None:
        """All have passed."""
        before, after = ("\r", "\x1b[K") if sys.stderr.isatty() else ("", "")
        click.echo(f"{before}{self._verb} {size(self._bytes)}{after}", err=True)


def data_of(messages: Iterable[volume_pb2.VolumePiece]) -> Iterator[bytes]:
    """What is in them; UNAVAILABLE if they end before the archive does."""
    for message in messages:
        if message.WhichOneof("kind") == "end":
            return
        yield message.data
    raise SwarmError(
        Code.UNAVAILABLE,
        "the archive was broken off",
        why="the stream ended before it was whole",
        remedy="begin again",
    )


def write(path: Path | None, pieces: Iterable[bytes]) -> None:
    """Writes them to standard output, or to a file, 0600, in place of what `path` was.

    Until all of it is on the disk the file has another name. REFUSED if that cannot be written.
    """
    if path is None:
        with refused("cannot write to standard output"):
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    write_whole(path, pieces, lambda _: None)


class Source(Iterator[volume_pb2.VolumePiece]):
    """An archive as messages, its end last.

    gRPC reads it in a thread of its own and would hide why it failed: see `failure`.
    """

    def __init__(self, file: BinaryIO, tally: Tally) -> None:
        self._pieces = tally.count(iter(lambda: file.read(PIECE), b""))
        self._is_over = False
        self.failure: OSError | None = None

    def __next__(self) -> volume_pb2.VolumePiece:
        if self._is_over:
            raise StopIteration
        try:
            piece = next(self._pieces, None)
        except OSError as error:
            self.failure = error
            raise
        self._is_over = piece is None
        if piece is None:
            return volume_pb2.VolumePiece(end=volume_pb2.VolumeEnd())
        return volume_pb2.VolumePiece(data=piece)


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
