import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit.conversation import converse
from tests.support.elapsing import elapse


def held(
    *argv: str,
    feed: bytes = b"",
    timeout: float = 20,
    hear: Callable[[int, bytes], None] | None = None,
) -> tuple[int, bytes, bytes]:
    heard = {1: b"", 2: b""}

    def keep(fd: int, piece: bytes) -> None:
        heard[fd] += piece

    code = asyncio.run(converse(argv, feed=io.BytesIO(feed), hear=hear or keep, timeout=timeout))
    return code, heard[1], heard[2]


def test_both_outputs_and_the_input_may_be_long_at_once() -> None:
    big = bytes(range(256)) * 12_000
    assert held("sh", "-c", "tee /dev/stderr; exit 7", feed=big) == (7, big, big)


def test_input_that_nobody_reads_ends_with_the_program() -> None:
    assert held("sh", "-c", "exec <&-; sleep 0.1", feed=bytes(1 << 20)) == (0, b"", b"")


def test_what_the_program_leaves_behind_is_not_waited_for() -> None:
    begun = time.monotonic()
    assert held("sh", "-c", "echo out; sleep 30 & exit 3") == (3, b"out\n", b"")
    assert time.monotonic() - begun < 20


def test_one_that_takes_too_long_is_asked_to_end_first(tmp_path: Path) -> None:
    left = tmp_path / "left"
    script = f"trap 'touch {left}; kill $!; exit' TERM; sleep 60 & echo; wait"
    with pytest.raises(SwarmError) as failed:
        held("sh", "-c", script, timeout=600, hear=lambda *_: elapse(600))
    assert failed.value.code is Code.DEADLINE
    assert left.exists()


def test_what_listening_raises_ends_it() -> None:
    def hear(_fd: int, _piece: bytes) -> None:
        raise RuntimeError("heard enough")

    with pytest.raises(RuntimeError, match="heard enough"):
        held("sh", "-c", "echo; exec sleep 60", hear=hear)


def test_bytes_fed_are_told() -> None:
    told: list[int] = []

    async def whole() -> None:
        feed = io.BytesIO(bytes(200_000))
        await converse(["cat"], feed=feed, hear=lambda *_: None, timeout=20, sent=told.append)

    asyncio.run(whole())
    assert told[-1] == 200_000
    assert told == sorted(told)


def test_a_program_that_is_missing_is_told() -> None:
    with pytest.raises(SwarmError) as failed:
        held("no-such-program")
    assert failed.value.code is Code.UNSUPPORTED
