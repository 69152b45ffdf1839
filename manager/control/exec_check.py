"""What is refused of a command before anybody is asked to run it. Pure."""

from api import wellformed
from api.errors import invalid
from api.v1 import exec_pb2

START_BYTES = 256 << 10
"""Of command, environment and all; the kernel takes not much more."""
PIECE_BYTES = 64 << 10
"""Of one message's data: what waits for a slow reader is counted in messages."""
_LARGEST_SIZE = 0xFFFF
_LARGEST_SIGNAL = 64


def check_start(start: exec_pb2.ExecStart) -> None:
    """Refuses what no node could run."""
    if not start.task_id:
        raise invalid("start.task_id", "a task is needed")
    if not start.command:
        raise invalid("start.command", "a command is needed")
    if start.ByteSize() > START_BYTES:
        raise invalid("start", f"command and environment have more than {START_BYTES} bytes")
    wellformed.check(start, limit=START_BYTES)
    if start.dir and not start.dir.startswith("/"):
        raise invalid("start.dir", f"{start.dir!r} is no absolute path")
    for index, entry in enumerate(start.env):
        if not entry.partition("=")[0]:
            raise invalid(f"start.env[{index}]", f"{entry!r} has no name")
    _check_size("start.size", start.size)


def check_input(message: exec_pb2.ExecInput) -> None:
    """Refuses what cannot be passed on to a command that runs."""
    match message.WhichOneof("kind"):
        case "start":
            raise invalid("start", "a stream runs one command")
        case "stdin" if len(message.stdin) > PIECE_BYTES:
            raise invalid("stdin", f"a message may have {PIECE_BYTES} bytes of input")
        case "resize":
            _check_size("resize", message.resize)
        case "signal" if not 1 <= message.signal <= _LARGEST_SIGNAL:
            raise invalid("signal", f"{message.signal} is no signal")


def check_output(output: exec_pb2.ExecOutput) -> None:
    """Refuses what a slow client could not be spared."""
    if len(output.stdout) > PIECE_BYTES or len(output.stderr) > PIECE_BYTES:
        raise invalid("output", f"a message may have {PIECE_BYTES} bytes of output")


def _check_size(field: str, size: exec_pb2.WindowSize) -> None:
    if max(size.rows, size.columns) > _LARGEST_SIZE:
        raise invalid(field, f"{size.rows} x {size.columns} is no size of a terminal")
