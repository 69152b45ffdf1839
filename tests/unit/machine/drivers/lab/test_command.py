from pathlib import Path

from machine.drivers.lab import command
from machine.drivers.lab.naming import HostPaths

PATHS = HostPaths(Path("/labs"), "lab", "m1")


def test_swarmd_gets_the_directories_of_its_host() -> None:
    template = command.swarmd(Path("/venv/bin"), ["--log-level", "debug"])
    assert command.filled(template, PATHS, "10.77.0.11") == [
        "/venv/bin/swarmd",
        "--state-dir",
        "/labs/lab/m1/state",
        "--run-dir",
        "/labs/lab/m1/run",
        "--cgroup-parent",
        "/lab-lab-m1/swarm",
        "--insecure-registry",
        "registry:5000",
        "--log-level",
        "debug",
    ]


def test_blanks_are_filled_once_and_other_braces_stay() -> None:
    template = ["{name}@{address}", "{other}", "{}", "{state"]
    filled = command.filled(template, PATHS, "{name}")
    assert filled == ["m1@{name}", "{other}", "{}", "{state"]


def test_a_host_with_settings_of_its_own() -> None:
    filled = command.filled(command.with_settings(Path("/venv/bin")), PATHS, "10.77.0.11")
    assert filled[-2:] == ["--config", "/labs/lab/m1/swarmd.toml"]
    assert "--insecure-registry" not in filled
