"""A daemon that says what a test scripts, and a command line that speaks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("SWARM_HOST", "SWARM_CONTEXT", "SWARM_CERT_PATH", "SWARM_TIMEOUT", "SWARM_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(tmp_path) as started:
        yield started


@pytest.fixture
def cli(daemon: ScriptedDaemon) -> CommandLine:
    return CommandLine("-H", daemon.address)
