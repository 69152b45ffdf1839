"""The program as a process: exit codes, signals, closed pipes, terminals, and what it imports."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import control_pb2
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import SILENCE, ScriptedDaemon
from tests.support.terminal import Terminal

LIMIT = 60
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"
"""What hides the cursor of a terminal, and what shows it."""
pytestmark = pytest.mark.usefixtures("_own_settings")


@pytest.fixture
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(tmp_path) as started:
        yield started


@pytest.fixture
def cli(daemon: ScriptedDaemon) -> CommandLine:
    return CommandLine("-H", daemon.address)


def run(command: CommandLine, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command.command(*args), capture_output=True, text=True, check=False, timeout=LIMIT
    )


def pending() -> control_pb2.WatchMessage:
    made = control_pb2.WatchMessage(version=1)
    task = builders.task("t1", state=states.PENDING, error="no suitable node")
    made.events.add().object.service.CopyFrom(builders.service("web"))
    made.events.add().object.task.CopyFrom(task)
    return made


def waits(daemon: ScriptedDaemon) -> None:
    daemon.on("CreateService", builders.service("web"))
    daemon.on("Watch", [pending(), SILENCE])


CREATE = ("service", "create", "--name", "web", "app:1")


@pytest.mark.parametrize(
    ("code", "args"),
    [
        (0, ("service", "ls")),
        (0, ("--version",)),
        (0, ("service", "create", "--help")),
        (1, ("service", "inspect", "gone")),
        (2, ("service", "ls", "--nonsense")),
        (2, ("servce",)),
        (2, ("service", "ls", "--format", "{{.Nonsense}}")),
        (3, (*CREATE[:2], "--wait-timeout", "100ms", *CREATE[2:])),
        (4, ("node", "ls")),
    ],
)
def test_exit_codes(cli: CommandLine, daemon: ScriptedDaemon, code: int, args: tuple[str]) -> None:
    waits(daemon)
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    daemon.on("GetService", SwarmError(Code.NOT_FOUND, "there is no service gone"))
    daemon.on("ListNodes", SwarmError(Code.UNAVAILABLE, "no manager leads"))
    # What nobody can serve is asked for again until the time is over.
    options = ("-H", daemon.address, "--timeout", "300ms" if code == 4 else "60s")
    done = run(CommandLine(*options), *args)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert bool(done.stderr) == (code != 0)


def test_an_interrupt_ends_the_wait_and_not_the_service(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    waits(daemon)
    with subprocess.Popen(
        cli.command(*CREATE), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        shown = process.stderr.readline()
        while "web.1 is pending: no suitable node\n" not in shown:
            line = process.stderr.readline()
            assert line, shown
            shown += line
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(LIMIT) == 130
        assert process.stdout.read() == "web\n"
    assert rest.splitlines()[-2:] == [
        "Operation continuing in background.",
        "See: swarmctl service ps web",
    ]


def test_an_interrupt_during_a_call(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", SILENCE)
    with subprocess.Popen(
        cli.command("service", "ls"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + LIMIT
        while not daemon.asked("ListServices") and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err.strip()) == (130, "")


def test_a_reader_that_leaves(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    services = [builders.service(f"a-long-name-of-a-service-{n}") for n in range(3000)]
    daemon.on("ListServices", control_pb2.ListServicesResponse(services=services))
    # Unbuffered, Python takes a write that was cut short for a whole one, and sees no error.
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        cli.command("service", "ls"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(LIMIT) == 1


def test_a_short_output_nobody_reads(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        cli.command("service", "ls"),
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
        timeout=LIMIT,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")


def test_tracebacks_are_for_those_who_ask(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", SwarmError(Code.REFUSED, "not now"))
    assert run(cli, "service", "ls").stderr == "swarmctl: not now\n"
    debugging = run(CommandLine("--debug", "-H", daemon.address), "service", "ls")
    assert debugging.stderr.startswith("Traceback (most recent call last):")
    assert debugging.stderr.endswith("swarmctl: not now\n")
    # Here it is an argument of the container.
    daemon.on("CreateService", SwarmError(Code.REFUSED, "not now"))
    assert run(cli, "service", "create", "app", "--debug").stderr == "swarmctl: not now\n"


def test_what_nobody_thought_of_is_one_line(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    absurd = builders.node("n1")
    absurd.meta.created_at.seconds = 10**12
    daemon.on("GetNode", absurd)
    done = run(cli, "node", "inspect", "--pretty", "n1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("swarmctl: internal error: ValueError: year ")
    assert done.stderr.endswith(", run again with swarmctl --debug\n")
    assert len(done.stderr.splitlines()) == 1
    debugging = run(
        CommandLine("--debug", "-H", daemon.address), "node", "inspect", "--pretty", "n"
    )
    assert (debugging.returncode, "Traceback" in debugging.stderr) == (1, True)


def test_settings_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    done = run(CommandLine(), "service", "ls")
    assert done.returncode == 1
    assert done.stderr.startswith("swarmctl: cannot read the contexts: Not a directory")


def shell(words: str, command: CommandLine, *args: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command whose streams a shell has redirected by `words`."""
    argv = ["sh", "-c", f'exec "$@" {words}', "sh", *command.command(*args)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT)


def test_streams_that_are_closed(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    for words, args in ((">&-", ("service", "ls")), (">&- 2>&- <&-", ("service", "ls"))):
        done = shell(words, cli, *args)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = shell("<&-", cli, "swarm", "unlock")
    assert (done.returncode, "internal error" in done.stderr) == (2, False)
    done = shell("<&-", cli, "secret", "create", "a", "-")
    assert "internal error" not in done.stderr
    assert [request.spec.data for request in daemon.asked("CreateSecret")] == [b""]


def test_a_full_disk_is_called_that(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    done = shell(">/dev/full", cli, "service", "ls")
    assert (done.returncode, done.stderr) == (1, "swarmctl: No space left on device\n")
    debugging = shell(">/dev/full", CommandLine("--debug", "-H", daemon.address), "service", "ls")
    assert debugging.stderr.startswith("Traceback (most recent call last):")


def test_what_the_system_refuses_is_told_with_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "swarmctl").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = run(CommandLine(), "context", "create", "a", "--host", "unix:///x")
    assert (done.returncode, done.stderr) == (
        1,
        f"swarmctl: {tmp_path}/swarmctl: File exists\n",
    )


def test_words_that_are_no_utf_8(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = run(cli, "service", "inspect", os.fsdecode(b"w\xe9b"))
    assert (done.returncode, daemon.asked("GetService")) == (2, [])
    assert done.stderr == "swarmctl: what was given is not text in UTF-8: it has '\\udce9' in it\n"


def test_a_terminal_that_has_not_all_characters(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse(services=[builders.service("w…b")]))
    monkeypatch.setenv("PYTHONIOENCODING", "iso8859-1")
    done = run(cli, "service", "ls", "--format", "{{.Name}}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "w?b\n", "")


def on_terminal(command: list[str], **environment: str) -> str:
    """What a terminal of 80 columns shows of the standard error."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
        )
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                shown += chunk
        except OSError:  # the kernel's way to say that the other side is closed
            pass
        process.wait(LIMIT)
        return shown.decode()
    finally:
        os.close(ours)


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_a_picture(
    cli: CommandLine, daemon: ScriptedDaemon, environment: dict[str, str]
) -> None:
    waits(daemon)
    command = cli.command(*CREATE[:2], "--wait-timeout", "4s", *CREATE[2:])
    shown = on_terminal(list(command), **environment)
    assert "overall progress: 0 out of 1 tasks" in shown
    assert "1/1: pending   [" in shown
    assert "waiting: no suitable node (1 task)" in shown
    assert "did not converge within 4s: no suitable node (1 task)" in shown.replace("\r\n", "")
    assert "\x1b[3" not in shown  # the picture is drawn without colours


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_has_its_cursor_back_however_the_wait_ends(
    cli: CommandLine, daemon: ScriptedDaemon, number: signal.Signals
) -> None:
    waits(daemon)
    environment = {**os.environ, "TERM": "xterm"}
    with Terminal(list(cli.command(*CREATE)), environment) as terminal:
        terminal.until(HIDDEN)
        terminal.until(b"overall progress")
        terminal.process.send_signal(number)
        assert terminal.process.wait(LIMIT) == 128 + number
        terminal.until(SHOWN)


FORBIDDEN = ("rich", "cryptography", "httpx", "pyroute2", "manager", "worker", "runtime", "machine")


@pytest.mark.parametrize(
    "args",
    [("service", "ls"), ("service", "create", "-d", "app"), ("node", "ls"), ("swarm", "leave")],
)
def test_short_commands_import_little(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...]
) -> None:
    command = list(cli.command(*args))
    command[1:1] = ["-X", "importtime"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "swarmctl.cli.client" in imported
    assert {name for name in imported if name.partition(".")[0] in FORBIDDEN} == set()


def test_help_needs_no_grpc() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "swarmctl", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
    assert "Manage services" in done.stdout
    assert not any("grpc" in line.rpartition("|")[2] for line in done.stderr.splitlines())
