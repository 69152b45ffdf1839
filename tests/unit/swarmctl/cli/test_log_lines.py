"""Parts of lines are joined by task and stream; a line without an end does not grow for ever."""

from api.v1 import logs_pb2
from swarmctl.cli import log_lines
from swarmctl.cli.log_lines import Joiner, Line

OUT, ERR = logs_pb2.LogOptions.STREAM_STDOUT, logs_pb2.LogOptions.STREAM_STDERR


def message(
    data: bytes,
    task: str = "t1",
    stream: logs_pb2.LogOptions.Stream.ValueType = OUT,
    *,
    partial: bool = False,
) -> logs_pb2.LogMessage:
    return logs_pb2.LogMessage(data=data, task_id=task, stream=stream, partial=partial)


def test_parts_are_joined_by_task_and_stream() -> None:
    joiner = Joiner(lambda each: f"{each.task_id}: ")
    given = [
        message(b"a", partial=True),
        message(b"x", "t2", partial=True),
        message(b"e", stream=ERR),
        message(b"b", partial=True),
        message(b"c"),
    ]
    assert [line for line in map(joiner.take, given) if line] == [
        Line("t1: ", b"e", True, "t1"),
        Line("t1: ", b"abc", False, "t1"),
    ]
    assert joiner.rest() == [Line("t2: ", b"x", False, "t2")]


def test_a_line_without_an_end_is_cut() -> None:
    joiner = Joiner(lambda _: "")
    half = b"x" * (log_lines.MAX_LINE // 2)
    assert joiner.take(message(half, partial=True)) is None
    cut = joiner.take(message(half, partial=True))
    assert cut is not None
    assert len(cut.data) == log_lines.MAX_LINE
    assert joiner.take(message(b"rest")) == Line("", b"rest", False, "t1")


def test_prefixes_stand_in_a_column() -> None:
    widths: dict[str, int] = {}
    assert log_lines.padded("web.10", widths) == "web.10    | "
    assert log_lines.padded("web.1", widths) == "web.1     | "
