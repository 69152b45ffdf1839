"""This end of a command that runs in a task: standard streams, terminal, signals.

Everything passes as bytes. The terminal is put back however the session ends.
"""

import os
import queue
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from api.errors import Code, SwarmError
from api.v1 import exec_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.signals import ENDING, Handler, end, handling

_PIECE = 32 << 10
_AHEAD = 4
"""Pieces of standard input that may be read before the first of them is sent."""
_STDIN, _STDOUT = 0, 1
_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Without a terminal. The second of a kind ends this program: the command may not obey."""

Input = exec_pb2.ExecInput


def run_command(client: Client, start: exec_pb2.ExecStart, doing: str) -> int:
    """Runs it to its end; its exit code. SwarmError if it could not be run, or was cut off."""
    outbox = _Outbox(start)
    with ExitStack() as stack:
        stack.callback(outbox.close)
        if start.tty:
            stack.enter_context(handling(_resizing(outbox), signal.SIGWINCH))
            # From a terminal signals come as bytes: these are for this program.
            stack.enter_context(handling(end, *ENDING))
            if start.stdin:
                stack.enter_context(_raw())
        else:
            stack.enter_context(handling(_passing_on(outbox), *_PASSED_ON))
        if start.stdin:
            threading.Thread(target=outbox.read, daemon=True).start()
        for answer in client.converse(client.exec.Run, iter(outbox), doing):
            if answer.HasField("exit_code"):
                return answer.exit_code
            _write(answer)
    raise SwarmError(
        Code.UNAVAILABLE, f"{doing} was cut off", why="the daemon ended it without an exit code"
    )


def window_size() -> exec_pb2.WindowSize | None:
    """The size of the terminal that this program is in; None if it is in none."""
    for descriptor in (_STDOUT, _STDIN):
        if os.isatty(descriptor):
            size = os.get_terminal_size(descriptor)
            return exec_pb2.WindowSize(rows=size.lines, columns=size.columns)
    return None


class _Outbox:
    """What goes to the command, in order. Signal handlers may put something in at any time."""

    def __init__(self, start: exec_pb2.ExecStart) -> None:
        # Unbounded, and the only queue that a signal handler may use; input waits for `_room`.
        self._messages: queue.SimpleQueue[Input | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self.put(Input(start=start))

    def put(self, message: Input) -> None:
        """Adds a message."""
        self._messages.put(message)

    def read(self) -> None:
        """Passes standard input on up to its end."""
        while piece := _read():
            self._room.acquire()
            self.put(Input(stdin=piece))
        self.put(Input(end_of_stdin=True))

    def close(self) -> None:
        """Nothing more is sent."""
        self._messages.put(None)

    def __iter__(self) -> Iterator[Input]:
        while (message := self._messages.get()) is not None:
            if message.HasField("stdin"):
                self._room.release()
            yield message


def _read() -> bytes:
    try:
        return os.read(_STDIN, _PIECE)
    except OSError:
        return b""  # the terminal is gone, or there never was an input


def _write(answer: exec_pb2.ExecOutput) -> None:
    for stream, data in ((sys.stdout, answer.stdout), (sys.stderr, answer.stderr)):
        if data:
            stream.buffer.write(data)
            stream.buffer.flush()


@contextmanager
def _raw() -> Iterator[None]:
    """The terminal passes every key on as it is; put back at the end."""
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setraw(_STDIN)
        yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)


def _resizing(outbox: _Outbox) -> Handler:
    def resize(number: int, frame: object) -> None:
        if (size := window_size()) is not None:
            outbox.put(Input(resize=size))

    return resize


def _passing_on(outbox: _Outbox) -> Handler:
    passed_on: set[int] = set()

    def pass_on(number: int, frame: object) -> None:
        if number in passed_on:
            end(number, frame)
        passed_on.add(number)
        outbox.put(Input(signal=number))

    return pass_on
