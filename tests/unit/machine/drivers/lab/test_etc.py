from pathlib import Path

from machine.drivers.lab import etc
from machine.drivers.lab.naming import HostPaths
from machine.drivers.lab.record import HostRecord

HOSTS = [HostRecord("m1", "10.77.0.11", ()), HostRecord("registry", "10.77.0.2", ())]


def test_every_host_knows_every_host() -> None:
    assert etc.hosts_text(HOSTS).splitlines()[2:] == ["10.77.0.11 m1", "10.77.0.2 registry"]


def test_files_are_changed_in_place_since_they_are_bind_mounted(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path, "lab", "m1")
    etc.write(paths, HOSTS[:1])
    before = (paths.etc / "hosts").stat().st_ino
    etc.write(paths, HOSTS)
    assert (paths.etc / "hosts").stat().st_ino == before
    assert "registry" in (paths.etc / "hosts").read_text()
    assert (paths.etc / "hostname").read_text() == "m1\n"
