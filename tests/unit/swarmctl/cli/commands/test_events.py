"""`events`: what is asked for, what is shown, and how it goes on when its manager is lost."""

import json
from pathlib import Path

import pytest

from api.errors import Code, SwarmError, invalid
from api.times import seconds_of, timestamp
from api.v1 import events_pb2
from swarmctl.cli import following
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Event = events_pb2.Event
Message = events_pb2.EventsMessage
GONE = SwarmError(Code.UNAVAILABLE, "this manager stops")


def position(index: int) -> events_pb2.EventPosition:
    return events_pb2.EventPosition(index=index, sequence=1)


def message(index: int, *ids: str) -> Message:
    at = timestamp(1_800_000_000)
    events = [Event(at=at, type="node", action="update", id=each) for each in ids]
    return Message(position=position(index), events=events)


def shown(out: str) -> list[str]:
    return [line.split()[3] for line in out.splitlines()]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY", 0.0)


@pytest.mark.parametrize("verb", [("events",), ("system", "events")])
def test_events_are_shown_as_they_come(
    cli: CommandLine, daemon: ScriptedDaemon, verb: tuple[str, ...]
) -> None:
    daemon.on("Events", [message(3), message(4, "n1", "n2"), message(6, "n3")])
    result = cli(*verb)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "2027-01-15T08:00:00.000000000Z node update n1"
    assert shown(result.out) == ["n1", "n2", "n3"]
    (request,) = daemon.asked("Events")
    assert request.ListFields() == []


def test_what_is_asked_for_is_passed_on(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Events", [])
    flags = ("--filter", "type=node", "-f", "label=a=b", "-f", "type=task")
    cli("events", *flags, "--since", "0", "--until", "2027-01-15T08:00:00Z")
    (request,) = daemon.asked("Events")
    assert request.HasField("since")
    assert seconds_of(request.since) == 0
    assert seconds_of(request.until) == 1_800_000_000
    assert {each.key: list(each.values) for each in request.filters} == {
        "type": ["node", "task"],
        "label": ["a=b"],
    }


def test_json_lines(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Events", [message(4, "n1", "n2")])
    result = cli("events", "--format", "json")
    assert [json.loads(line)["Actor"]["ID"] for line in result.out.splitlines()] == ["n1", "n2"]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--format", "{{.Colour}}"), 2, "no field 'Colour'"),
        (("--filter", "node"), 2, "use KEY=VALUE"),
        (("--since", "soon"), 2, "no time"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_asked(
    cli: CommandLine, daemon: ScriptedDaemon, flags: tuple[str, ...], code: int, said: str
) -> None:
    result = cli("events", *flags)
    assert result.code == code
    assert said in result.err
    assert daemon.asked("Events") == []


def test_a_key_that_the_manager_does_not_know_is_a_matter_of_usage(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("Events", [invalid("filters", "no key 'colour'", why="they are type and name")])
    result = cli("events", "--filter", "colour=red")
    assert result.code == 2
    assert "no key 'colour': they are type and name" in result.err


def test_a_gap_is_told_beside_the_events(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    gap = events_pb2.EventsGap(begin=position(41), why="they are forgotten")
    daemon.on("Events", [Message(gap=gap, position=position(41)), message(50, "n1")])
    result = cli("events", "--since", "1h")
    assert shown(result.out) == ["n1"]
    assert result.err == (
        "swarmctl: events are missing before entry 42 of the log: they are forgotten\n"
    )


def test_a_stream_that_breaks_goes_on_behind_the_last_event(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    moved = SwarmError(Code.CANCELLED, "another one leads")
    daemon.on(
        "Events",
        [message(3), message(4, "n1"), GONE],
        [GONE],
        [message(4), message(9, "n2"), moved],
        [message(9)],
    )
    result = cli("events", "--since", "1h", "--filter", "type=node")
    assert (result.code, result.err) == (0, "")
    assert shown(result.out) == ["n1", "n2"]
    first, *others = daemon.asked("Events")
    assert not first.HasField("after")
    assert [request.after for request in others] == [position(4), position(4), position(9)]
    assert all(request.filters for request in others)


def test_the_next_manager_of_the_context_is_asked(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with ScriptedDaemon(tmp_path / "one") as one, ScriptedDaemon(tmp_path / "two") as two:
        cli = CommandLine("--context", "both")
        hosts = ("--host", one.address, "--host", two.address)
        assert CommandLine()("context", "create", "both", *hosts).code == 0
        one.on("Events", [message(4, "n1"), GONE])
        two.on("Events", [message(5, "n2")])
        assert shown(cli("events").out) == ["n1", "n2"]
        assert [request.after for request in two.asked("Events")] == [position(4)]


def test_a_stream_that_never_began_is_not_tried_again(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("Events", [GONE])
    result = cli("events")
    assert (result.code, len(daemon.asked("Events"))) == (4, 1)
    assert "this manager stops" in result.err


def test_a_stream_that_stays_broken_is_given_up(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("Events", [message(3), GONE], [GONE])
    monkeypatch.setattr(
        "swarmctl.cli.following._now", lambda: 61.0 if len(daemon.asked("Events")) > 2 else 1.0
    )
    result = CommandLine("-H", daemon.address, "--timeout", "60s")("events")
    assert result.code == 4
    assert len(daemon.asked("Events")) == 3


def test_a_refusal_ends_it(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Events", [message(3), GONE], [SwarmError(Code.DENIED, "not for you")])
    result = cli("events")
    assert (result.code, len(daemon.asked("Events"))) == (1, 2)
    assert "not for you" in result.err
