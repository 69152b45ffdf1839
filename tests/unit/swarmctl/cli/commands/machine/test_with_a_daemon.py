"""`machine` and a real daemon, whose API listens on loopback."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine.store.store import VARIABLE
from tests.support.command_line import CommandLine
from tests.support.daemon_process import Daemon
from tests.support.host_api import ApiDesk
from tests.support.ports import free_pair
from tests.support.until import until_true

pytestmark = pytest.mark.root

swarmctl = CommandLine()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiDesk]:
    """Its one machine has a daemon that serves its API."""
    with tempfile.TemporaryDirectory(prefix="d") as path:  # short, for the socket's sake
        desk = ApiDesk(Path(path))
        desk.store.save(desk.machine.ready("0.1.0", 1.0))
        desk.provision()
        monkeypatch.setenv(VARIABLE, str(desk.store.root))
        daemon = Daemon(Path(path), desk.options)
        daemon.start()
        try:
            daemon.info()
            until_true(lambda: swarmctl("machine", "version").code == 0, "the API is served")
            yield desk
        finally:
            daemon.end()


def test_the_machine_answers_and_the_shell_that_env_made_speaks_to_it(
    desk: ApiDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in swarmctl("machine", "env", "h1").out.splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
    assert swarmctl("machine", "active").out == "h1\n"
    row = "{{.State}}|{{.Swarm}}|{{.Active}}|{{.Errors}}"
    listed = ("machine", "ls", "-t", "60s", "--format", row)
    assert swarmctl(*listed).out == "Running|-|*|\n"
    assert swarmctl("machine", "status").out == "Running\n"
    assert swarmctl("system", "info").code == 0
    assert swarmctl("image", "ls", "-q").code == 0
    address = f"127.0.0.1:{free_pair()}"
    made = swarmctl("swarm", "init", "--advertise-addr", address, "--listen-addr", address)
    assert made.code == 0, made.err
    until_true(
        lambda: swarmctl(*listed).out == "Running|manager|*|\n",
        "it is a manager",
    )
    assert len(swarmctl("node", "ls", "-q").words) == 1
    assert swarmctl("swarm", "leave", "--force").code == 0
