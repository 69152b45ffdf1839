"""`task exec` and `service exec`: what is asked for, what passes between terminal and daemon."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.states import FAILED, SHUTDOWN
from api.v1 import control_pb2, exec_pb2, objects_pb2
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.terminal import LIMIT, Terminal

Input = exec_pb2.ExecInput
Output = exec_pb2.ExecOutput


class Echo:
    """A command that says everything back, and ends with 3 when its input does."""

    def __init__(self) -> None:
        self.start = exec_pb2.ExecStart()

    def __call__(self, requests: Iterator[Input]) -> Iterator[Output]:
        self.start.CopyFrom(next(requests).start)
        yield Output(started=True)
        if self.start.tty:
            yield Output(stdout=b"ready")
        for request in requests:
            match request.WhichOneof("kind"):
                case "stdin":
                    yield Output(stdout=request.stdin)
                    if b"\x04" in request.stdin:
                        break
                case "end_of_stdin":
                    break
                case "resize":
                    size = request.resize
                    yield Output(stdout=b"%dx%d" % (size.rows, size.columns))
                case "signal":
                    yield Output(stdout=b"signal %d\n" % request.signal)
        yield Output(exit_code=3)


def tasks(*made: objects_pb2.Task) -> control_pb2.ListTasksResponse:
    return control_pb2.ListTasksResponse(tasks=made)


@pytest.fixture
def echo(daemon: ScriptedDaemon) -> Echo:
    made = Echo()
    daemon.on("GetTask", lambda request: builders.task(request.key, "web", 1, node_id="n1"))
    daemon.on("Run", made)
    return made


def ends_with(*outputs: Output) -> Any:
    def answer(requests: Iterator[Input]) -> Iterator[Output]:
        next(requests)
        yield Output(started=True)
        yield from outputs

    return answer


def test_what_is_asked_for(
    cli: CommandLine, daemon: ScriptedDaemon, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", "from here")
    monkeypatch.delenv("NOWHERE", raising=False)

    def answer(requests: Iterator[Input]) -> Iterator[Output]:
        echo.start.CopyFrom(next(requests).start)
        yield Output(exit_code=0)

    daemon.on("Run", answer)
    flags = ("-u", "app:app", "-w", "/srv", "-e", "A=b c", "-e", "HERE", "-e", "NOWHERE")
    assert cli("task", "exec", *flags, "t1", "ls", "-l", "--", "-t").code == 0
    assert echo.start == exec_pb2.ExecStart(
        task_id="t1",
        command=["ls", "-l", "--", "-t"],
        user="app:app",
        dir="/srv",
        env=["A=b c", "HERE=from here", "NOWHERE"],
    )
    assert cli("task", "exec", "t1", "--", "env").code == 0
    assert list(echo.start.command) == ["env"]


@pytest.mark.parametrize(
    "args",
    [
        ("task", "exec", "t1"),
        ("task", "exec", "t1", "--"),
        ("task", "exec", "-e", "=x", "t1", "true"),
        ("task", "exec", "--detach", "t1", "true"),
    ],
)
def test_wrong_usage(cli: CommandLine, args: tuple[str, ...]) -> None:
    assert cli(*args).code == 2


def test_streams_and_exit_code(cli: CommandLine, daemon: ScriptedDaemon, echo: Echo) -> None:
    daemon.on("Run", ends_with(Output(stdout=b"\xffo"), Output(stderr=b"e"), Output(exit_code=42)))
    done = subprocess.run(
        cli.command("task", "exec", "t1", "true"), capture_output=True, check=False, timeout=LIMIT
    )
    assert (done.returncode, done.stdout, done.stderr) == (42, b"\xffo", b"e")


def test_bytes_through_a_pipe(cli: CommandLine, echo: Echo) -> None:
    given = os.urandom(1 << 20).replace(b"\x04", b"")
    done = subprocess.run(
        cli.command("task", "exec", "-i", "t1", "cat"),
        input=given,
        capture_output=True,
        check=False,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stdout) == (3, given)


def test_errors(cli: CommandLine, daemon: ScriptedDaemon, echo: Echo) -> None:
    daemon.on("Run", [SwarmError(Code.UNAVAILABLE, "node n1 is down", remedy="look")])
    lost = cli("task", "exec", "t1", "true")
    assert (lost.code, lost.err) == (4, "swarmctl: node n1 is down. Look\n")
    daemon.on("Run", [SwarmError(Code.REFUSED, "it does not run")])
    assert cli("task", "exec", "t1", "true").code == 1
    daemon.on("Run", ends_with())
    assert cli("task", "exec", "t1", "true").code == 4
    refused = cli("task", "exec", "-it", "t1", "sh")
    assert refused.code == 2 or os.isatty(0)


def test_the_task_of_a_service(cli: CommandLine, daemon: ScriptedDaemon, echo: Echo) -> None:
    daemon.on(
        "ListTasks",
        tasks(
            builders.task("old", "web", 1, state=FAILED, desired=SHUTDOWN),
            builders.task("third", "web", 3),
            builders.task("second", "web", 2),
        ),
    )

    def chosen(name: str) -> tuple[str, str]:
        daemon.on("Run", lambda requests: iter([_seen(echo, requests), Output(exit_code=0)]))
        done = cli("service", "exec", name, "true")
        assert done.code == 0, done.err
        return echo.start.task_id, done.err

    assert chosen("web") == ("second", "swarmctl: in web.2 (second), one of 2 tasks\n")
    assert chosen("web.3") == ("third", "")
    assert daemon.asked("ListTasks")[-1].service_keys == ["web"]
    for name in ("web.1", "web.x"):
        nothing = cli("service", "exec", name, "true")
        assert (nothing.code, name in nothing.err) == (1, True)


def _seen(echo: Echo, requests: Iterator[Input]) -> Output:
    echo.start.CopyFrom(next(requests).start)
    return Output(started=True)


def test_a_terminal_is_raw_while_it_lasts_and_hears_of_its_size(
    cli: CommandLine, echo: Echo
) -> None:
    with Terminal(cli.command("task", "exec", "-it", "t1", "sh")) as terminal:
        terminal.until(b"ready")
        assert (echo.start.tty, echo.start.size.rows, echo.start.size.columns) == (True, 24, 80)
        assert not terminal.is_as_before()
        terminal.type(b"a")
        terminal.until(b"a")
        terminal.resize(50, 132)
        terminal.until(b"50x132")
        terminal.type(b"\x03")
        terminal.until(b"\x03")
        terminal.type(b"\x04")
        assert terminal.ended() == 3
        assert terminal.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_is_put_back_by_whoever_is_ended(
    cli: CommandLine, echo: Echo, number: signal.Signals
) -> None:
    with Terminal(cli.command("task", "exec", "-it", "t1", "sh")) as terminal:
        terminal.until(b"ready")
        terminal.process.send_signal(number)
        assert terminal.ended() == 128 + number
        assert terminal.is_as_before()


def test_a_signal_is_passed_on_and_a_second_one_ends_it(cli: CommandLine, echo: Echo) -> None:
    argv = ["env", "--default-signal=INT", *cli.command("task", "exec", "t1", "sleep", "9")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as command:
        assert command.stdout is not None
        while not echo.start.task_id:
            assert command.poll() is None
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        assert command.stdout.readline() == b"signal 2\n"
        command.send_signal(signal.SIGINT)
        assert command.wait(LIMIT) == 130
