"""Plans and events as people and programs see them."""

import pytest

from api.errors import Code, SwarmError
from machine.provisioning import DETAIL, Change, Kind
from machine.swarm.actions import (
    Action,
    AwaitReady,
    Drain,
    Init,
    Install,
    Join,
    Lane,
    Leave,
    Phase,
    Plan,
    Remove,
    Run,
)
from machine.swarm.events import Event, Stage
from machine.swarm.outcome import Outcome
from swarmctl.cli.clusters import plan_text, progress
from tests.support.golden import check_golden

CHANGES = (
    Change(Kind.ADD, "packages", "install crun"),
    Change(Kind.RESTART, "service", "restart swarmd", "its settings changed"),
)
PLAN = Plan(
    phases=(
        Phase("Installation", (Lane("m1", (Install("m1", CHANGES, "1.2"),)),), together=0),
        Phase("First manager", (Lane("m1", (Init("m1"), AwaitReady("m1"))),)),
        Phase(
            "Managers",
            (Lane("m2", (Join("m2"),)), Lane("m3", (Join("m3"),))),
            leader_last=True,
        ),
        Phase("Workers to remove", (Lane("w9", (Drain("w9"), Remove("w9"), Leave("w9"))),)),
    ),
    warnings=("2 managers bear little",),
    notes=("node x is in no line",),
)


@pytest.mark.parametrize("full", [False, True])
def test_a_plan(full: bool) -> None:
    shown = [*plan_text.remarks(PLAN), *plan_text.lines(PLAN, full=full)]
    text = "".join(f"{line}\n" for line in shown)
    check_golden(f"cli/machine_plan{'_full' if full else ''}.txt", text)


def test_a_plan_that_is_refused_says_why() -> None:
    assert list(plan_text.remarks(Plan(refusals=("no",)))) == ["Refused: no"]


def test_how_far_a_run_came() -> None:
    actions = list(PLAN.actions())
    outcome = Outcome(done=actions[:3], busy=[Join("m2")], was_stopped=True)
    assert list(plan_text.standing(PLAN, outcome)) == [
        "2 of 7 actions were done.",
        "Cut off, may be half done: m2: join the swarm as a worker",
        "As before: m3, w9",
    ]
    failed = Outcome(failures={"m1": SwarmError(Code.INTERNAL, "no")})
    assert list(plan_text.standing(PLAN, failed)) == [
        "0 of 7 actions were done.",
        "As before: m2, m3, w9",
    ]


def test_hooks_that_were_left_out_are_named() -> None:
    lane = Lane("w1", (Install("w1"), *(Run("w1", each, is_after=True) for each in ("a", "b"))))
    other = Lane("w2", (Install("w2"), Run("w2", "a", is_after=True)))
    failed = Outcome(
        failures={"w1": SwarmError(Code.INTERNAL, "no")}, done=[Run("w1", "b", is_after=True)]
    )
    assert list(plan_text.standing(Plan((Phase("p", (lane, other)),)), failed))[1:] == [
        "As before: w2",
        "Was not run: w1: a; run it there by hand if the same again finds nothing to do with the"
        " host",
    ]


def test_a_plan_for_programs() -> None:
    found = plan_text.document(PLAN)
    assert [each["title"] for each in found["phases"]][:2] == ["Installation", "First manager"]
    install = found["phases"][0]["actions"][0]
    assert install["sign"] == "!"
    assert install["changes"][1] == {
        "sign": "!",
        "step": "service",
        "what": "restart swarmd",
        "why": "its settings changed",
    }


def _every(kind: type[Action]) -> list[type[Action]]:
    return [each for below in kind.__subclasses__() for each in (below, *_every(below))]


@pytest.mark.parametrize("kind", _every(Action))
def test_every_action_says_what_it_does(kind: type[Action]) -> None:
    action = kind("h1")
    assert action.text or kind.__name__ == "Adjust"  # which changes nothing then


def test_events_as_lines_and_documents(capsys: pytest.CaptureFixture[str]) -> None:
    event = Event(Stage.FAILED, "Workers", "w1", "join the swarm", "no route")
    assert progress.line(event) == "w1: join the swarm: failed: no route"
    assert progress.line(Event(Stage.PHASE, "Workers")) == "== Workers"
    assert progress.document(Event(Stage.PHASE, "Workers"), 0.0) == {
        "time": "1970-01-01T00:00:00.000000Z",
        "stage": "phase",
        "phase": "Workers",
    }
    with progress.shown("plain", PLAN) as report:
        report(Event(Stage.SAID, "Workers", "w1", "install", f"{DETAIL}Reading packages"))
        report(event)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split(" ", 1)[1] for line in shown.err.splitlines()] == [progress.line(event)]
    with progress.shown("json", PLAN) as report:
        report(event)
    assert '"stage": "failed"' in capsys.readouterr().out


def test_the_picture_shows_who_is_at_work_and_keeps_what_ended() -> None:
    picture = progress.Picture(PLAN)
    assert picture.take(Event(Stage.PHASE, "Workers")) == ["== Workers"]
    assert picture.take(Event(Stage.BEGUN, "Workers", "w1", "join")) == []
    picture.take(Event(Stage.SAID, "Workers", "w1", "join", "waiting"))
    assert picture.lines(80) == ["Workers: 8 actions to go", "  w1: join: waiting"]
    assert picture.take(Event(Stage.DONE, "Workers", "w1", "join")) == ["w1: join: done"]
    assert picture.lines(12) == ["Workers: 7 "]
