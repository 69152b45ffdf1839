"""The lines of conmon's logs."""

import pytest

from runtime.driver import LogLine
from runtime.log_lines import parse, tail_start

TIME = b"2024-02-03T04:05:06.123456789+00:00"
WHOLE = 1706933106 * 10**9
AT, HALF = WHOLE + 123456789, WHOLE + 500000000


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (TIME + b" stdout F hello world", LogLine(AT, "stdout", b"hello world", False)),
        (TIME + b" stderr P \xff \x00", LogLine(AT, "stderr", b"\xff \x00", True)),
        (TIME + b" stdout F ", LogLine(AT, "stdout", b"", False)),
        (b"2024-02-03T05:05:06.5+01:00 stdout F a", LogLine(HALF, "stdout", b"a", False)),
        (b"2024-02-03T04:05:06Z stdout F a", LogLine(WHOLE, "stdout", b"a", False)),
        (b"", None),
        (b"hello", None),
        (TIME + b" stdout", None),
        (TIME + b" stdin F a", None),
        (TIME + b" stdout X a", None),
        (b"2024-13-03T04:05:06Z stdout F a", None),
        (b"yesterday stdout F a", None),
    ],
)
def test_parse(line: bytes, expected: LogLine | None) -> None:
    assert parse(line) == expected


def log(*tags: str) -> bytes:
    return b"".join(TIME + f" stdout {tag} x\n".encode() for tag in tags)


@pytest.mark.parametrize(
    ("tags", "count", "kept", "found"),
    [
        ("FFF", 0, "", 0),
        ("FFF", 1, "F", 1),
        ("FFF", 3, "FFF", 3),
        ("FFF", 9, "FFF", 3),
        ("FPPF", 1, "PPF", 1),
        ("FPPFPF", 2, "PPFPF", 2),
        ("FFP", 1, "FP", 1),
        ("FFP", 0, "P", 0),
        ("", 3, "", 0),
    ],
)
def test_tail(tags: str, count: int, kept: str, found: int) -> None:
    data = log(*tags)
    start, number = tail_start(data, count)
    assert data[start:] == log(*kept)
    assert number == found


def test_tail_of_a_log_that_ends_in_the_middle_of_a_line() -> None:
    data = log("F", "F") + TIME + b" stdout F ha"
    start, found = tail_start(data, 2)
    assert data[start:] == log("F") + TIME + b" stdout F ha"
    assert found == 2
