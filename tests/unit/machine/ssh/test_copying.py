from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.copying import End, command, end

CONFIG = Path("/c")


@pytest.mark.parametrize(
    ("text", "expected", "word"),
    [
        ("h1:/a b", End("/a b", "h1"), "h1:/a b"),
        ("op@h-1.x:", End("", "h-1.x", "op"), "op@h-1.x:"),
        ("h1:a:b", End("a:b", "h1"), "h1:a:b"),
        ("/a:b", End("/a:b"), "/a:b"),
        ("./a:b", End("./a:b"), "./a:b"),
        ("localhost:a:b", End("a:b"), "./a:b"),
        ("localhost:", End("."), "."),
        ("-r", End("-r"), "./-r"),
        ("plain", End("plain"), "plain"),
        ("-o:x", End("-o:x"), "./-o:x"),
    ],
)
def test_an_end_is_read_and_written_as_scp_takes_it(text: str, expected: End, word: str) -> None:
    assert end(text) == expected
    assert end(text).word == word


def test_scp_goes_through_this_machine_and_rsync_over_the_same_ssh() -> None:
    ends = [end("a"), end("h1:/b")], end("h2:/c")
    assert command(CONFIG, *ends, recursive=True, quiet=True) == [
        *("scp", "-F", "/c", "-3", "-r", "-q", "--", "a", "h1:/b", "h2:/c")
    ]
    assert command(CONFIG, [end("a")], end("h2:/c"), delta=True) == [
        *("rsync", "-e", "ssh -F '/c'", "--progress", "--", "a", "h2:/c")
    ]


def test_what_neither_can_is_refused() -> None:
    for ends, delta in (
        (([end("a")], end("b")), False),
        (([end("h1:/a")], end("h2:/b")), True),
    ):
        with pytest.raises(SwarmError) as failed:
            command(CONFIG, *ends, delta=delta)
        assert failed.value.code is Code.INVALID
    with pytest.raises(SwarmError):
        end("")
