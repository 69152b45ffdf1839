from hypothesis import given
from hypothesis import strategies as st

from machine.lines import Stream

pieces = st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"a\r\n", b"\xc3", b"\xa9"]))


@given(pieces=pieces, limit=st.integers(0, 50))
def test_the_first_bytes_are_kept_and_every_line_is_told(pieces: list[bytes], limit: int) -> None:
    stream, told = Stream(limit), []
    for piece in pieces:
        stream.keep(piece)
        told += stream.lines(piece)
    told += stream.last()
    whole = b"".join(pieces)
    assert stream.kept == whole[:limit]
    lines = whole.split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    assert told == [line.removesuffix(b"\r").decode(errors="replace") for line in lines]


def test_a_line_without_an_end_is_told_in_parts() -> None:
    stream = Stream(0)
    told = [line for _ in range(100) for line in stream.lines(b"x" * 10_000)] + stream.last()
    assert sum(map(len, told)) == 1_000_000
    assert max(map(len, told)) == 1 << 16
