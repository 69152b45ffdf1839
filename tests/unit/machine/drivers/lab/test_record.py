from pathlib import Path

import pytest

from api.errors import SwarmError
from machine.drivers.lab import record
from machine.drivers.lab.naming import LabPaths
from machine.drivers.lab.record import HostRecord, LabRecord

LAB = LabRecord(
    "lab",
    3,
    ("swarmd", "--state-dir", "{state}"),
    "127.0.0.1:2377",
    (
        HostRecord("m1", "10.77.3.11", ("swarmd",), 64),
        HostRecord("registry", "10.77.3.2", ("r", "x")),
    ),
    disk=64,
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    paths = LabPaths(tmp_path, "lab")
    assert record.load(paths) is None
    record.save(paths, LAB)
    assert record.load(paths) == LAB
    assert record.labs(tmp_path) == ["lab"]
    assert [path.name for path in paths.directory.iterdir()] == ["lab.json"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    paths = LabPaths(tmp_path, "lab")
    record.save(paths, LAB)
    paths.record.write_text("{")
    with pytest.raises(SwarmError, match=r"lab\.json is damaged"):
        record.load(paths)


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    assert LAB.host("m1").address == "10.77.3.11"
    with pytest.raises(SwarmError, match="m1, registry"):
        LAB.host("m2")


def test_no_labs_where_there_is_no_directory(tmp_path: Path) -> None:
    assert record.labs(tmp_path / "none") == []
