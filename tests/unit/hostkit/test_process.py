import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import process
from tests.support.elapsing import elapse


def test_output_and_input_are_carried() -> None:
    done = asyncio.run(process.run(["sh", "-c", "cat; echo talk >&2"], timeout=10, input=b" hi \n"))
    assert (done.code, done.out, done.err, done.text) == (0, b" hi \n", b"talk\n", "hi")


def test_input_is_empty_unless_given() -> None:
    assert asyncio.run(process.run(["cat"], timeout=10)).out == b""


def test_environment_and_directory(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", 'echo "$WORD $(pwd)"']
    done = asyncio.run(process.run(argv, timeout=10, env={"WORD": "w"}, cwd=tmp_path))
    assert done.text == f"w {tmp_path}"


def test_a_failure_says_which_command_and_its_last_words() -> None:
    argv = ["sh", "-c", "for i in 1 2 3 4 5 6; do echo line $i >&2; done; exit 3"]
    with pytest.raises(SwarmError) as failed:
        asyncio.run(process.run(argv, timeout=10))
    assert failed.value.code is Code.INTERNAL
    assert failed.value.why == "exit status 3: line 2 | line 3 | line 4 | line 5 | line 6"
    assert asyncio.run(process.run(argv, timeout=10, check=False)).code == 3


def test_a_signal_is_told_from_an_exit_status() -> None:
    done = asyncio.run(process.run(["sh", "-c", "kill -9 $$"], timeout=10, check=False))
    assert done.code == -9
    assert done.failure().why == "signal 9"


@pytest.mark.parametrize(
    ("program", "why"), [("no-such-program", "not installed"), ("/etc/passwd", "Permission denied")]
)
def test_what_cannot_be_run(program: str, why: str) -> None:
    with pytest.raises(SwarmError, match=why) as failed:
        asyncio.run(process.run([program], timeout=10))
    assert failed.value.code is Code.UNSUPPORTED


LINGERING = [
    sys.executable,
    "-c",
    "import os,sys,time; open(sys.argv[1],'w').write(str(os.getpid())); time.sleep(1000)",
]


def test_one_that_takes_too_long_is_killed_and_reaped() -> None:
    argv = ["sleep", f"1000.{os.getpid()}"]
    with pytest.raises(SwarmError) as failed:
        asyncio.run(process.run(argv, timeout=0.5))
    assert failed.value.code is Code.DEADLINE
    command = "\0".join(argv).encode()
    assert not any(command in each for each in _command_lines())


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return found


def test_a_cancelled_caller_leaves_nobody_behind(tmp_path: Path) -> None:
    async def scenario() -> int:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        call = asyncio.create_task(process.run([*LINGERING, str(fifo)], timeout=100))
        pid = int(await asyncio.to_thread(fifo.read_text))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return pid

    pid = asyncio.run(scenario())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("then", ["wait", "exit 0"])
def test_a_grandchild_that_keeps_the_pipes_does_not_keep_the_caller(
    then: str, tmp_path: Path
) -> None:
    """Were it waited for, the test would end by its own time limit."""

    async def scenario() -> int:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        argv = ["sh", "-c", f'sleep 1000 & echo $! >"$1"; {then}', "sh", str(fifo)]
        call = asyncio.create_task(process.run(argv, timeout=600))
        pid = int(await asyncio.to_thread(fifo.read_text))
        elapse(600)
        with pytest.raises(SwarmError) as failed:
            await call
        assert failed.value.code is Code.DEADLINE
        return pid

    os.kill(asyncio.run(scenario()), signal.SIGKILL)
