"""When and why a task restarts, in words."""

import pytest

from api import states
from swarmctl.cli.commands.task import task_rows
from swarmctl.cli.rollouts import restart_note
from tests.support.builders import EPOCH, task


@pytest.mark.parametrize(
    ("restarts", "waits", "note"),
    [
        (4, 40.4, "restarts again in 40s: failed 4 times in a row"),
        (1, 5.0, "restarts again in 5s: failed once"),
        (6, 160.0, "restarts again in 2m40s: failed 6 times in a row"),
        (2, 0.2, "restarts again in 1s: failed 2 times in a row"),
        (2, -10.0, "restarts again now: failed 2 times in a row"),
        (0, 5.0, ""),
    ],
)
def test_when_a_task_restarts(restarts: int, waits: float, note: str) -> None:
    waiting = task("t", state=states.READY, desired=states.READY, start_after=EPOCH + waits)
    waiting.restarts = restarts
    assert restart_note(waiting, EPOCH) == note
    assert task_rows([waiting], {}, EPOCH, full=False, indented=True)[0]["Error"] == (
        f'"{note}"' if note else ""
    )


def test_what_runs_or_has_ended_does_not_restart() -> None:
    for state, desired in (
        (states.RUNNING, states.RUNNING),
        (states.REJECTED, states.READY),
        (states.SHUTDOWN, states.SHUTDOWN),
    ):
        each = task("t", state=state, desired=desired, start_after=EPOCH + 5)
        each.restarts = 3
        assert restart_note(each, EPOCH) == ""
