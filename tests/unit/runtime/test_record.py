"""Records survive their writer, and half a record is none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.pidfd import ProcessId
from runtime import record
from runtime.driver import ExitResult
from runtime.health_check import HealthCheck
from runtime.record import Record

NEW = Record("i", "n", {"k": "v"}, 15, "/g/i", "boot")
RUNNING = replace(
    NEW, step="running", process=ProcessId(5, 7), monitor=ProcessId(6, 8), started_at=1.5
)
ENDED = RUNNING.ended(ExitResult(3, True, 2.5, "out of memory"))


CHECKED = replace(RUNNING, health=HealthCheck(("sh", "-c", "true"), interval=0.5, retries=7))


@pytest.mark.parametrize("made", [NEW, RUNNING, ENDED, CHECKED])
def test_round_trip(tmp_path: Path, made: Record) -> None:
    file = tmp_path / "record.json"
    record.save(file, NEW)
    record.save(file, made)
    assert record.load(file) == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "7",
        json.dumps({"process": None, "monitor": None, "exit": None}),
        json.dumps({"process": {"pid": 5}, "monitor": None, "exit": None, "id": "i"}),
        json.dumps({"process": None, "monitor": None, "exit": None, "surprise": 1}),
        json.dumps({"process": None, "monitor": None, "exit": None, "health": 7}),
    ],
)
def test_unreadable(tmp_path: Path, text: str) -> None:
    file = tmp_path / "record.json"
    assert record.load(file) is None
    file.write_text(text)
    assert record.load(file) is None


def test_a_disk_that_does_not_answer_tells_nothing_of_the_record(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.symlink_to(file)  # whoever reads gets an error of the kernel
    with pytest.raises(OSError, match="symbolic links"):
        record.load(file)


def test_a_record_from_before_there_were_checks(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    record.save(file, RUNNING)
    older = json.loads(file.read_text())
    del older["health"]
    file.write_text(json.dumps(older))
    assert record.load(file) == RUNNING


@pytest.mark.parametrize(
    ("made", "phase", "pid"),
    [
        (NEW, "created", 0),
        (replace(NEW, process=ProcessId(5, 7)), "created", 5),
        (RUNNING, "running", 5),
        (ENDED, "exited", 0),
    ],
)
def test_state(made: Record, phase: str, pid: int) -> None:
    state = made.state()
    assert (state.id, state.phase, state.pid, state.exit) == ("i", phase, pid, made.exit)


def test_no_end_before_the_start() -> None:
    ended = RUNNING.ended(ExitResult(0, False, 1.0, ""))
    assert ended.exit == ExitResult(0, False, 1.5, "")


def test_boot_id_is_stable() -> None:
    assert record.boot_id() == record.boot_id() != ""
