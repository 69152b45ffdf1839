"""A program that is forked does what one that is started does."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.prepared_program import ForkedProgram
from tests.support.until import until_true

SWARMCTL = Path(sys.executable).with_name("swarmctl")
LIMIT = 60.0


@pytest.fixture(scope="module")
def program() -> Iterator[ForkedProgram]:
    with contextlib.closing(ForkedProgram()) as made:
        yield made


@pytest.fixture
def around(tmp_path: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "200"}


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("service", "create", "--help"),
        ("service", "crate"),
        ("node", "ls", "--no-such"),
        ("context", "ls"),
        ("--context", "none/m1", "node", "ls"),
        ("-H", "unix:///no/such.sock", "node", "ls"),
        ("-H", "unix:///no/such.sock", "service", "create", "--constraint", "x", "image"),
    ],
)
def test_it_says_what_one_that_is_started_says(
    program: ForkedProgram, around: Mapping[str, str], words: tuple[str, ...]
) -> None:
    forked = program.run(words, around, LIMIT)
    started = subprocess.run(
        [SWARMCTL, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        env=around,
        stdin=subprocess.DEVNULL,
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_environment_and_folder_are_those_of_the_caller(
    program: ForkedProgram,
    around: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make = ("context", "create", "here", "--host", "unix:///a.sock")
    assert program.run(make, around, LIMIT).returncode == 0
    assert "here" in program.run(("context", "ls", "-q"), around, LIMIT).stdout.split()
    elsewhere = {**around, "XDG_CONFIG_HOME": str(tmp_path / "other")}
    assert "here" not in program.run(("context", "ls", "-q"), elsewhere, LIMIT).stdout.split()
    Path("one.env").write_text("A=1")
    words = ("-H", "unix:///no/such.sock", "service", "create", "--env-file", "one.env", "image")
    assert "/no/such.sock" in program.run(words, around, LIMIT).stderr


def test_several_at_once(program: ForkedProgram, around: Mapping[str, str]) -> None:
    with ThreadPoolExecutor(4) as threads:
        work = [
            threads.submit(program.run, ("--context", f"no/m{each}", "node", "ls"), around, LIMIT)
            for each in range(8)
        ]
        for number, each in enumerate(work):
            assert f"no/m{number}." in each.result().stderr


def test_one_that_takes_too_long_is_killed(
    program: ForkedProgram, around: Mapping[str, str], tmp_path: Path
) -> None:
    silent = tmp_path / "silent"
    os.mkfifo(silent)
    with pytest.raises(subprocess.TimeoutExpired):
        program.run(("service", "create", "--env-file", str(silent), "image"), around, 1.0)

    def nobody_reads() -> bool:
        try:
            os.close(os.open(silent, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            return error.errno == errno.ENXIO
        return False

    until_true(nobody_reads, "the program is gone")
