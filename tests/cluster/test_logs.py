"""`service logs`: of every host, from every host, while it happens."""

import re
import time
from datetime import datetime

import pytest

from tests.support.cluster import TOOLS, Swarm

pytestmark = pytest.mark.cluster

COUNT = (
    "trap 'exit 0' TERM; for i in 1 2 3 4 5; do echo line $i; done; while :; do sleep 0.05; done"
)
"""Writes five lines and then nothing."""


@pytest.mark.parametrize("host", ["m1", "w1"])
def test_the_lines_of_all_hosts_are_read_from_any_host(swarm: Swarm, host: str) -> None:
    swarm.create("count", TOOLS, "sh", "-c", COUNT, replicas=3)
    expected = sorted(f"line {number}" for number in range(1, 6) for _ in range(3))
    swarm.until(lambda: sorted(swarm.logs("count", at=host)) == expected, "15 lines")
    assert swarm.logs("--tail", "2", "count", at=host).count("line 5") == 3
    assert len(swarm.logs("--tail", "2", "count", at=host)) == 6
    assert swarm.logs("--tail", "0", "count", at=host) == []


def test_every_line_says_which_task_on_which_host_wrote_it_and_when(swarm: Swarm) -> None:
    swarm.create("count", TOOLS, "sh", "-c", COUNT, replicas=3)
    swarm.until(lambda: len(swarm.logs("count")) == 15, "15 lines")
    lines = swarm.ctl("service", "logs", "-t", "count").lines
    form = re.compile(r"(\S+Z) count\.(\d)\.(\w{12})@(\w\d) +\| line (\d)")
    found = [form.fullmatch(line) for line in lines]
    assert all(found), lines
    nodes = {task.name: (task.id[:12], task.node) for task in swarm.tasks("count")}
    for match in filter(None, found):
        assert nodes[f"count.{match[2]}"] == (match[3], match[4])
    moments = [datetime.fromisoformat(match[1]).timestamp() for match in found if match]
    assert all(abs(time.time() - moment) < 60 for moment in moments)


def test_lines_from_before_a_moment_are_left_out(swarm: Swarm) -> None:
    script = "echo early; sleep 3; echo late; sleep 100"
    swarm.create("two", "--stop-grace-period", "0s", TOOLS, "sh", "-c", script)
    swarm.until(lambda: swarm.logs("two") == ["early", "late"], "both lines")
    stamps = [line.split()[0] for line in swarm.ctl("service", "logs", "--raw", "-t", "two").lines]
    between = f"{stamps[1][:19]}Z"  # the whole second before the late line
    assert swarm.logs("--since", between, "two") == ["late"]
    assert swarm.logs("--until", between, "two") == ["early"]
    assert swarm.logs("--since", "1h", "two") == ["early", "late"]


def test_standard_error_is_kept_apart(swarm: Swarm) -> None:
    script = "echo out; echo err >&2; sleep 100"
    swarm.create("both", "--stop-grace-period", "0s", TOOLS, "sh", "-c", script)
    done = swarm.until(lambda: _both(swarm), "both lines")
    assert done == ("out\n", "err\n")


def _both(swarm: Swarm) -> tuple[str, str] | None:
    done = swarm.ctl("service", "logs", "--raw", "both")
    return (done.out, done.err) if done.out and done.err else None


@pytest.mark.parametrize("host", ["m1", "w1"])
def test_a_task_that_starts_later_appears_to_those_who_follow(swarm: Swarm, host: str) -> None:
    swarm.create("count", TOOLS, "sh", "-c", COUNT)
    swarm.until(lambda: len(swarm.logs("count")) == 5, "5 lines")
    with swarm.running("service", "logs", "--raw", "-f", "--tail", "1", "count", at=host) as follow:
        swarm.until(lambda: follow.lines() == ["line 5"], "the last line of the first task")
        swarm.ctl("service", "scale", "--detach", "count=3")
        swarm.until(lambda: len(follow.lines()) == 11, "every line of the two new tasks")
        assert follow.ended() is None
        assert follow.err == b""


def test_following_goes_on_over_the_end_of_a_task_until_it_is_interrupted(swarm: Swarm) -> None:
    folder = swarm.host("m1").paths.directory.parent / "told"  # every host sees it
    folder.mkdir(exist_ok=True)
    wait = "while ! [ -e /told/$(hostname)-$word ]; do sleep 0.05; done"
    script = f"trap 'exit 0' TERM; for word in one two; do {wait}; echo $word; done"
    flags = ("--restart-delay", "0s", "--mount", f"type=bind,source={folder},target=/told,readonly")
    swarm.create("again", *flags, TOOLS, "sh", "-c", script)
    tasks, told = [""], []
    with swarm.running("service", "logs", "--raw", "-f", "again") as follow:
        for _ in range(2):
            swarm.until(lambda: swarm.tasks("again")[0].id not in tasks, "there is another task")
            tasks.append(swarm.tasks("again")[0].id)
            for word in ("one", "two"):
                (folder / f"{tasks[-1][:12]}-{word}").touch()
                told.append(word)
                swarm.until(lambda: follow.lines() == told, "what it says is heard")
        follow.interrupt()
        swarm.until(lambda: follow.ended() is not None, "it ends")
        assert follow.ended() == 130


def test_a_long_line_and_bytes_that_are_no_text_come_through_whole(swarm: Swarm) -> None:
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\tc\\n'; sleep 100"
    swarm.create("odd", "--stop-grace-period", "0s", TOOLS, "sh", "-c", script)
    with swarm.running("service", "logs", "--raw", "-f", "odd") as follow:
        swarm.until(lambda: len(follow.lines()) == 2, "both lines")
        assert follow.out == b"x" * 100_000 + b"\n" + b"a\xffb\tc\n"


@pytest.mark.parametrize("how", ["cut", "pause", "kill"])
def test_a_node_that_does_not_answer_gives_a_warning_and_no_hang(swarm: Swarm, how: str) -> None:
    swarm.create("count", TOOLS, "sh", "-c", COUNT, replicas=3)
    swarm.until(lambda: len(swarm.logs("count")) == 15, "15 lines")
    swarm.lab(how, "w2")
    try:
        done = swarm.ctl("service", "logs", "--raw", "count", timeout=40)
        assert "w2" in done.err
        assert len(done.lines) == 10
    finally:
        swarm.lab({"cut": "heal", "pause": "resume", "kill": "start"}[how], "w2")
    swarm.until_node("w2", "Ready", timeout=60)


@pytest.mark.parametrize("how", ["cut", "pause"])
def test_following_goes_on_past_a_node_that_stands_still(swarm: Swarm, how: str) -> None:
    ticking = "trap 'exit 0' TERM; while :; do echo tick; sleep 0.2; done"
    swarm.create("tick", TOOLS, "sh", "-c", ticking, replicas=3)
    with swarm.running("service", "logs", "--no-task-ids", "-f", "tick") as follow:
        swarm.until(lambda: {"w1", "w2"} <= _hosts(follow.lines()), "lines of every host")
        swarm.lab(how, "w2")
        try:
            swarm.until(lambda: follow.ended() is not None or b"w2" in follow.err, "a warning")
            before = len(follow.lines())
            swarm.until(lambda: len(follow.lines()) > before + 20, "lines of the others")
            assert follow.ended() is None
        finally:
            swarm.lab({"cut": "heal", "pause": "resume"}[how], "w2")
    swarm.until_node("w2", "Ready", timeout=60)


def _hosts(lines: list[str]) -> set[str]:
    return {line.partition("@")[2].split()[0] for line in lines}
