"""Runs the command line in this process, as the program would: same exit codes, same text."""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from swarmctl.cli.failures import run
from swarmctl.cli.root import swarmctl


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> list[list[str]]:
        """What was printed, as the words of each line."""
        return [line.split() for line in self.out.splitlines()]


class CommandLine:
    """`swarmctl` with these global options before the arguments of each call."""

    def __init__(self, *options: str) -> None:
        self._options = options

    def __call__(self, *args: str) -> Result:
        """Runs one command to its end."""
        out, err = _text(), _text()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            run(swarmctl, [*self._options, *args])
        code = ended.value.code
        return Result(code if isinstance(code, int) else -1, _content(out), _content(err))

    def command(self, *args: str) -> Sequence[str]:
        """The same as a command for a process of its own."""
        return [sys.executable, "-m", "swarmctl", *self._options, *args]


def _text() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _content(stream: io.TextIOWrapper) -> str:
    data = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return str(data.decode(errors="replace"))
