"""`service logs`: prefixes, streams, parts of lines, and what is asked for."""

import os
import pty
import subprocess
import time

import pytest

from api.errors import Code, SwarmError
from api.times import seconds_of, timestamp
from api.v1 import logs_pb2, objects_pb2
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Message = logs_pb2.LogMessage
OUT, ERR = logs_pb2.LogOptions.STREAM_STDOUT, logs_pb2.LogOptions.STREAM_STDERR
MISSING = SwarmError(Code.NOT_FOUND, "there is no such thing")
TASKS = {
    name: builders.task(name, "web", slot, node_id="n1")
    for name, slot in (("task1aaaaaaaaaaaaaaaaaaaaa", 1), ("task10bbbbbbbbbbbbbbbbbbbb", 10))
}
FIRST, TENTH = TASKS


def line(task_id: str, data: bytes, stream: int = OUT, *, partial: bool = False) -> Message:
    return Message(
        task_id=task_id,
        node_id="n1",
        at=timestamp(1_800_000_000.5),
        stream=stream,  # type: ignore[arg-type]
        data=data,
        partial=partial,
    )


BATCHES = [
    logs_pb2.LogBatch(messages=[line(FIRST, b"one"), line(TENTH, b"a | b", ERR)]),
    logs_pb2.LogBatch(
        messages=[line(FIRST, b"be", partial=True), line(TENTH, b"ten"), line(FIRST, b"gun")],
        warnings=["node n3 is down: its logs are missing"],
    ),
    logs_pb2.LogBatch(messages=[line(FIRST, b"\x1b[31mred\xff", partial=True)]),
]


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    web = builders.service("web")
    daemon.on("GetService", web)
    for each in TASKS.values():
        each.service_labels["tier"] = "front"
    daemon.on("GetTask", lambda request: TASKS.get(request.key, MISSING))
    node = objects_pb2.Node(id="n1")
    node.description.hostname = "host1"
    daemon.on("GetNode", node)
    daemon.on("Subscribe", BATCHES)


def output(cli: CommandLine, *args: str) -> tuple[bytes, bytes]:
    done = subprocess.run(
        cli.command("service", "logs", *args), capture_output=True, check=True, timeout=30
    )
    return done.stdout, done.stderr


def test_lines_stand_in_a_column_and_stay_as_they_were(cli: CommandLine) -> None:
    out, err = output(cli, "web")
    assert out == (
        b"web.1.task1aaaaaaa@host1    | one\n"
        b"web.10.task10bbbbbb@host1    | ten\n"
        b"web.1.task1aaaaaaa@host1     | begun\n"
        b"web.1.task1aaaaaaa@host1     | \x1b[31mred\xff\n"
    )
    assert err == (
        b"web.10.task10bbbbbb@host1    | a | b\nswarmctl: node n3 is down: its logs are missing\n"
    )


@pytest.mark.parametrize(
    ("args", "first"),
    [
        (("--raw",), "one"),
        (("--raw", "-t"), "2027-01-15T08:00:00.500000000Z one"),
        (("-t",), "2027-01-15T08:00:00.500000000Z web.1.task1aaaaaaa@host1    | one"),
        (("--no-task-ids",), "web.1@host1    | one"),
        (("--no-trunc",), f"web.1.{FIRST}@host1    | one"),
        (("--no-resolve",), "web.1.task1aaaaaaa@n1    | one"),
        (("--details",), "tier=front web.1.task1aaaaaaa@host1    | one"),
    ],
)
def test_forms_of_a_line(cli: CommandLine, args: tuple[str, ...], first: str) -> None:
    assert cli("service", "logs", *args, "web").out.splitlines()[0] == first


def test_a_task_that_is_gone_is_shown_by_its_id(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetTask", MISSING)
    daemon.on("GetNode", MISSING)
    assert cli("service", "logs", "web").out.startswith("task1aaaaaaa@n1    | one\n")


def test_what_is_asked_for(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    args = ("-f", "--tail", "5", "--since", "2027-01-15T08:00:00Z", "--until", "1800000060", "web")
    assert cli("service", "logs", *args).code == 0
    [request] = daemon.asked("Subscribe")
    assert list(request.selector.service_ids) == ["web"]
    assert (request.options.follow, request.options.tail) == (True, 5)
    assert seconds_of(request.options.since) == 1_800_000_000
    assert seconds_of(request.options.until) == 1_800_000_060

    cli("service", "logs", "--since", "10m", "web")
    latest = daemon.asked("Subscribe")[-1]
    assert abs(time.time() - 600 - seconds_of(latest.options.since)) < 60
    assert (latest.options.follow, latest.options.tail) == (False, -1)


def test_the_logs_of_one_task(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetService", MISSING)
    assert cli("service", "logs", FIRST).code == 0
    assert list(daemon.asked("Subscribe")[0].selector.task_ids) == [FIRST]
    unknown = cli("service", "logs", "gone")
    assert (unknown.code, unknown.err) == (
        1,
        "swarmctl: there is no service or task 'gone'. See: swarmctl service ls\n",
    )


@pytest.mark.parametrize("args", [("--tail", "some"), ("--since", "yesterday"), ("--tail", "-1")])
def test_values_that_cannot_be_read(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...]
) -> None:
    result = cli("service", "logs", *args, "web")
    assert (result.code, daemon._asked) == (2, {})
    assert args[0] in result.err


def on_terminal(cli: CommandLine, **environment: str) -> bytes:
    """What a terminal gets to see of the standard output."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            cli.command("service", "logs", "web"),
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
            check=True,
            timeout=30,
        )
        return os.read(ours, 1 << 16)
    finally:
        os.close(theirs)
        os.close(ours)


def test_colours_on_a_terminal_unless_they_are_not_wanted(cli: CommandLine) -> None:
    assert on_terminal(cli).startswith(b"\x1b[36mweb.1.task1aaaaaaa@host1    | \x1b[0mone")
    assert on_terminal(cli, NO_COLOR="1").startswith(b"web.1.task1aaaaaaa@host1    | one")
