"""What happens is told by every manager, live and afterwards, also by those that are left."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Running, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MANAGERS = ("m1", "m2", "m3")
COMMAND = (TOOLS, "sh", "-c", OBEDIENT)
FOLLOW = ("events", "--since", "0", "--format", "json")
"""All that is known and all that comes: so it does not matter when the stream begins."""
Event = dict[str, Any]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    config = tmp_path_factory.mktemp("config")
    with a_swarm(config, managers=3, workers=1, heartbeat=2) as made:
        yield made


def _leader(swarm: Swarm, at: str) -> str:
    form = "{{.Hostname}} {{.ManagerStatus}}"

    def leading() -> list[str]:
        rows = [line.split() for line in swarm.ctl("node", "ls", "--format", form, at=at).lines]
        return [row[0] for row in rows if row[1:] == ["Leader"]]

    return swarm.until(leading, "a manager leads, and is known to")[0]


def _heard(stream: Running) -> list[Event]:
    return [json.loads(line) for line in stream.lines()]


def _past(swarm: Swarm, *filters: str, at: str) -> list[Event]:
    """What the manager remembers."""
    words = [word for each in filters for word in ("--filter", each)]
    done = swarm.ctl(*FOLLOW, "--until", "0s", *words, at=at)
    return [json.loads(line) for line in done.lines]


def _places(events: list[Event]) -> list[tuple[int, str, str]]:
    return [(each["index"], each["Action"], each["Actor"]["ID"]) for each in events]


def _told(events: list[Event], action: str, *names: str) -> list[tuple[str, ...]]:
    """The values of these attributes, of the events of an action that have them all."""
    found = [each["Actor"]["Attributes"] for each in events if each["Action"] == action]
    return [tuple(each[name] for name in names) for each in found if set(names) <= set(each)]


def test_what_happens_is_told_while_it_happens(swarm: Swarm) -> None:
    words = (*FOLLOW, "--filter", "service=web")
    with swarm.running(*words, at="w1") as live, swarm.running(*words, at="m2") as same:
        swarm.create("web", *COMMAND)
        swarm.until(lambda: ("new", "pending") in _states(live), "it is told live")
        swarm.ctl("service", "scale", "--detach", "web=2")
        swarm.until_runs("web", 2)
        (victim, _) = swarm.on("web")
        os.kill(victim.pid, signal.SIGKILL)
        failed = (victim.name, victim.host, "running", "failed", "137")
        names = ("name", "node", "state.old", "state.new", "exitCode")
        swarm.until(lambda: failed in _told(_heard(live), "state", *names), "its end is told")
        swarm.until_runs("web", 2)
        swarm.ctl("service", "rm", "web")
        swarm.until(lambda: _told(_heard(live), "remove", "name").count(("web",)), "it is gone")
        events = _heard(live)
        swarm.until(lambda: len(_heard(same)) >= len(events), "the other hears as much")
        assert _told(events, "update", "replicas.old", "replicas.new") == [("1", "2")]
        assert [each["Type"] for each in events[:1]] == ["service"]
        assert _places(_heard(same))[: len(events)] == _places(events)
    started = _told(_past(swarm, "service=web", "type=task", at="m3"), "state", "state.new")
    assert started.count(("running",)) == 3, "two, and the one in the place of the one killed"


def _states(stream: Running) -> list[tuple[str, ...]]:
    return _told(_heard(stream), "state", "state.old", "state.new")


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_reader_misses_nothing_when_the_leader_is_lost(swarm: Swarm, how: str) -> None:
    leader = _leader(swarm, "w1")
    other, third = [each for each in MANAGERS if each != leader]
    before, during, after = (f"{when}-{how}" for when in ("before", "during", "after"))
    # A stream goes on over an absence that is no longer than a call of its client may take.
    words = ("--timeout", "3m", *FOLLOW, "--filter", "type=service", "--filter", "type=node")
    with swarm.running(*words, at=leader) as cut_off, swarm.running(*words, at="w1") as passed_on:
        streams = (cut_off, passed_on)
        _make(swarm, before, other)
        swarm.until(lambda: all(_names(each)[-1:] == [before] for each in streams), "it is told")
        swarm.lab("daemon", leader, how)
        _make(swarm, during, other)
        swarm.until(lambda: during in _names(passed_on), "the worker asks another", timeout=60)
        gone = (leader, "unreachable")
        swarm.until(
            lambda: gone in _told(_heard(passed_on), "update", "name", "reachability.new"),
            "the others see that it is gone",
        )
        swarm.start_daemon(leader)
        _make(swarm, after, other)
        swarm.until(lambda: all(after in _names(each) for each in streams), "both go on")
        for each in streams:
            assert [name for name in _names(each) if name.endswith(how)] == [before, during, after]
            assert b"missing before entry" not in each.err.partition(b"\n")[2]
        swarm.until(lambda: _agree(streams), "both have told the same of what both know")
    for at in (other, third):
        events = _past(swarm, "type=node", at=at)
        assert ("true",) in _told(events, "update", "leader.new")
        assert (leader, "unreachable") in _told(events, "update", "name", "reachability.new")
    known = [_places(_past(swarm, f"name={during}", at=at)) for at in MANAGERS]
    assert known[0]
    assert known[0] == known[1] == known[2], "the one that was away has it from its log"


def _make(swarm: Swarm, name: str, at: str) -> None:
    """Creates a service that runs nowhere."""
    words = ("service", "create", "--detach", "--name", name, "--replicas", "0", TOOLS)
    swarm.ctl(*words, at=at)


def _names(stream: Running) -> list[str]:
    """The services that it told of."""
    events = [each for each in _heard(stream) if each["Type"] == "service"]
    return [name for (name,) in _told(events, "create", "name")]


def _agree(streams: tuple[Running, Running]) -> bool:
    """Whether two streams told the same between the first and the last that both know.

    Of the last entry one may have told but the half so far.
    """
    told = [_places(_heard(each)) for each in streams]
    common = sorted(set(told[0]) & set(told[1]))
    first, last = common[0][0], common[-1][0]
    one, another = ([each for each in mine if first <= each[0] <= last] for mine in told)
    return one == another
