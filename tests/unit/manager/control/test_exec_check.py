"""What of a command is refused before anybody is asked to run it."""

import pytest

from api.errors import Code, SwarmError
from api.v1 import exec_pb2
from manager.control.exec_check import (
    PIECE_BYTES,
    START_BYTES,
    check_input,
    check_output,
    check_start,
)

Start = exec_pb2.ExecStart
Input = exec_pb2.ExecInput
Size = exec_pb2.WindowSize


def good(**changes: object) -> exec_pb2.ExecStart:
    start = Start(task_id="t", command=["sh", "-c", ""], dir="/etc", env=["A=", "B"], user="a:b")
    start.MergeFrom(Start(**changes))  # type: ignore[arg-type]
    return start


def test_what_is_in_order_passes() -> None:
    check_start(good(size=Size(rows=24, columns=80), tty=True, stdin=True))
    check_input(Input(stdin=b"x" * PIECE_BYTES))
    check_input(Input(end_of_stdin=True))
    check_input(Input(resize=Size(rows=0xFFFF, columns=1)))
    check_input(Input(signal=64))
    check_output(exec_pb2.ExecOutput(stdout=b"x" * PIECE_BYTES))


@pytest.mark.parametrize(
    ("start", "field"),
    [
        (Start(command=["a"]), "start.task_id"),
        (Start(task_id="t"), "start.command"),
        (good(command=["x" * START_BYTES]), "start"),
        (good(user="a\0b"), "user"),
        (Start(task_id="t", command=["a"], dir="etc"), "start.dir"),
        (good(env=["=x"]), "start.env[2]"),
        (good(size=Size(rows=0x10000)), "start.size"),
    ],
)
def test_a_start_that_no_node_could_run(start: exec_pb2.ExecStart, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        check_start(start)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


@pytest.mark.parametrize(
    "message",
    [
        Input(start=good()),
        Input(stdin=b"x" * (PIECE_BYTES + 1)),
        Input(resize=Size(columns=0x10000)),
        Input(signal=0),
        Input(signal=65),
    ],
)
def test_messages_that_no_command_could_be_given(message: exec_pb2.ExecInput) -> None:
    with pytest.raises(SwarmError):
        check_input(message)


def test_output_that_is_too_large_for_one_message() -> None:
    for output in (
        exec_pb2.ExecOutput(stdout=b"x" * (PIECE_BYTES + 1)),
        exec_pb2.ExecOutput(stderr=b"x" * (PIECE_BYTES + 1)),
    ):
        with pytest.raises(SwarmError):
            check_output(output)
