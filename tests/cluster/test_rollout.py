"""Updates that go back, by themselves and by hand; drains that start first; crash loops."""

from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, Task
from tests.support.journal import BEGUN

pytestmark = pytest.mark.cluster

NONE = "registry:5000/demo/none:1"
COMMAND = (TOOLS, "sh", "-c", OBEDIENT)
JOURNAL = """\
trap 'echo "stop $(hostname)" >>/shared/journal; exit 0' TERM
echo "start $(hostname)" >>/shared/journal
while :; do sleep 0.05; done
"""


def _status(swarm: Swarm, form: str) -> str:
    return swarm.ctl("service", "inspect", "-f", form, "web").out.strip()


@pytest.mark.parametrize(("order", "kept"), [("stop-first", 2), ("start-first", 3)])
def test_a_bad_image_rolls_back_by_itself_and_the_service_goes_on(
    swarm: Swarm, order: str, kept: int
) -> None:
    update = ("--update-failure-action", "rollback", "--update-order", order)
    back = ("--rollback-order", order, "--rollback-monitor", "1s")
    swarm.create("web", *update, *back, *COMMAND, replicas=3)
    before = set(swarm.on("web"))
    failed = swarm.ctl("service", "update", "--image", NONE, "--replicas", "4", "web", code=3)
    assert "did not converge: it was rolled back: update rolled back due to failure" in failed.err
    swarm.until_runs("web", 3)
    assert len(before & set(swarm.on("web"))) == kept, "what never stopped is left alone"
    state = "{{.UpdateStatus.State}} {{.Spec.Task.Container.Image}}"
    assert _status(swarm, state) == f"rollback_completed {TOOLS}"
    assert "cannot be rolled back" in swarm.ctl("service", "rollback", "web", code=1).err


def test_a_rollback_by_hand_goes_back_and_forth(swarm: Swarm) -> None:
    swarm.create("web", "--rollback-parallelism", "0", "--rollback-monitor", "3s", *COMMAND)
    changes = ("--env-add", "COLOUR=red", "--replicas", "3", "--update-parallelism", "0")
    swarm.ctl("service", "update", *changes, "web")
    back = swarm.ctl("service", "rollback", "web")
    assert "web: the service is being rolled back: manually requested rollback" in back.err
    assert _status(swarm, "{{.UpdateStatus.Message}} {{.Spec.Replicated.Replicas}}") == (
        "rollback completed 1"
    )
    swarm.until(lambda: len(swarm.on("web")) == 1, "the other tasks are gone")
    (running,) = swarm.on("web")
    assert b"COLOUR" not in Path(f"/proc/{running.pid}/environ").read_bytes()
    swarm.ctl("service", "update", "--rollback", "--detach", "web")
    swarm.until_runs("web", 3)
    swarm.until(lambda: len(swarm.on("web")) == 3, "the old task is gone")


def test_a_paused_update_is_taken_back(swarm: Swarm) -> None:
    swarm.create("web", "--restart-delay", "60s", "--update-monitor", "1s", *COMMAND, replicas=3)
    paused = swarm.ctl("service", "update", "--image", NONE, "web", code=3)
    assert "go on: swarmctl service update web, or go back: swarmctl service rollback web" in (
        paused.err
    )
    kept = set(swarm.on("web"))
    assert len(kept) == 2
    swarm.ctl("service", "rollback", "web")
    assert kept < set(swarm.on("web"))
    assert len(swarm.on("web")) == 3


def test_a_drain_may_start_the_replacement_before_the_old_task_stops(swarm: Swarm) -> None:
    shared = swarm.host("m1").paths.directory.parent / "drain"
    shared.mkdir(exist_ok=True)
    mount = ("--mount", f"type=bind,source={shared},target=/shared")
    order = ("--update-order", "start-first")
    swarm.create("web", *mount, *order, *BEGUN, TOOLS, "sh", "-c", JOURNAL, replicas=6)
    journal = shared / "journal"
    assert len(swarm.on("web", "w1")) == 2
    swarm.ctl("node", "update", "--availability", "drain", "w1")
    try:
        swarm.until(lambda: not swarm.containers("w1"), "w1 is empty")
        lines = swarm.until(lambda: _of(journal, 10), "both have moved")
        assert [line.split()[0] for line in lines[6:]] == ["start", "stop"] * 2
        assert len(swarm.until_runs("web", 6)) == 6
        assert swarm.doubled() == []
    finally:
        swarm.ctl("node", "update", "--availability", "active", "w1")


def test_a_crash_loop_backs_off_and_says_so(swarm: Swarm) -> None:
    crash = ("--detach", "--name", "web", "--restart-delay", "1s", TOOLS, "sh", "-c", "exit 7")
    swarm.ctl("service", "create", *crash)

    def fifth() -> list[Task]:
        waiting = [task for task in swarm.tasks("web") if task.desired == "Ready"]
        return [task for task in waiting if "failed 4 times in a row" in task.error]

    (waiting,) = swarm.until(fifth, "it has failed four times")
    assert waiting.error.startswith("restarts again in ")
    starts = "{{.Restarts}} {{.StartAfter}}"
    assert swarm.ctl("task", "inspect", "-f", starts, waiting.id).out.startswith("4 20")


def _of(journal: Path, count: int) -> list[str]:
    lines = journal.read_text().splitlines()
    return lines if len(lines) == count else []
