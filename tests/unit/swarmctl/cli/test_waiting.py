"""The wait for a service: until it is stable, stopped, or time runs out; through broken streams."""

from pathlib import Path

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import contexts, progress
from tests.support import builders
from tests.support.command_line import CommandLine, Result
from tests.support.scripted_daemon import SILENCE, ScriptedDaemon

Event = control_pb2.WatchEvent
Update = objects_pb2.UpdateStatus
BROKEN = SwarmError(Code.UNAVAILABLE, "the manager is gone")


def message(
    *objects: objects_pb2.Service | objects_pb2.Task, version: int = 9, resync: bool = False
) -> control_pb2.WatchMessage:
    made = control_pb2.WatchMessage(version=version, resync=resync)
    for each in objects:
        event = made.events.add(action=Event.ACTION_UPDATE)
        if isinstance(each, objects_pb2.Service):
            event.object.service.CopyFrom(each)
        else:
            event.object.task.CopyFrom(each)
    return made


def service(
    replicas: int = 1, state: Update.State.ValueType = Update.STATE_UNKNOWN, text: str = ""
) -> objects_pb2.Service:
    made = builders.service("web", replicas)
    made.meta.version = 5
    made.update_status.state = state
    made.update_status.message = text
    return made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STABLE_SECONDS", 0.3)


@pytest.fixture
def _time_is_over_once_something_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before, however slow the daemon is."""
    take = progress.Watched.take
    taken: list[control_pb2.WatchMessage] = []

    def noted(watched: progress.Watched, message: control_pb2.WatchMessage) -> None:
        take(watched, message)
        taken.append(message)

    monkeypatch.setattr(progress.Watched, "take", noted)
    monkeypatch.setattr("swarmctl.cli.waiting._now", lambda: 1e6 if taken else 0.0)


@pytest.fixture
def create(cli: CommandLine, daemon: ScriptedDaemon) -> "Creating":
    return Creating(cli, daemon)


class Creating:
    """`service create` whose watch says what the test scripts."""

    def __init__(self, cli: CommandLine, daemon: ScriptedDaemon) -> None:
        self._cli = cli
        self._daemon = daemon
        self.replicas = 1

    def __call__(self, *streams: list[object], args: tuple[str, ...] = ()) -> Result:
        self._daemon.on("CreateService", service(self.replicas))
        self._daemon.on("Watch", *streams)
        count = str(self.replicas)
        return self._cli("service", "create", "--name", "web", "--replicas", count, *args, "app:1")


def told(result: Result) -> list[str]:
    """The lines of progress without their times."""
    return [line.partition(" ")[2] for line in result.err.splitlines()]


def test_it_waits_until_all_is_stable(create: Creating, daemon: ScriptedDaemon) -> None:
    starting = builders.task("t1", state=states.STARTING)
    result = create([message(service(), starting), message(builders.task("t1")), SILENCE])
    assert (result.code, result.out) == (0, "web\n")
    assert told(result)[-3:] == [
        "web: 1 out of 1 tasks are up",
        "web.1 is running",
        "web: converged",
    ]
    [request] = daemon.asked("Watch")
    assert [(s.kind, s.id, s.service_id) for s in request.selectors] == [
        (0, "web", ""),
        (1, "", "web"),
    ]


def test_quiet_says_nothing(create: Creating) -> None:
    result = create([message(service(), builders.task("t1")), SILENCE], args=("--quiet",))
    assert (result.code, result.out, result.err) == (0, "web\n", "")


@pytest.mark.usefixtures("_time_is_over_once_something_is_known")
def test_time_runs_out_with_the_reasons_of_waiting_tasks(create: Creating) -> None:
    create.replicas = 3
    why = "no suitable node (insufficient memory on 2 nodes)"
    tasks = [
        builders.task("t1", slot=1),
        builders.task("t2", slot=2, state=states.PENDING, error=why),
        builders.task("t3", slot=3, state=states.PENDING, error=why),
    ]
    result = create([message(service(3), *tasks), SILENCE], args=("--wait-timeout", "400ms"))
    assert (result.code, result.out) == (3, "web\n")
    assert result.err.splitlines()[-1] == (
        f"swarmctl: service web did not converge within 400ms: {why} (2 tasks)."
        " It goes on in the background; see: swarmctl service ps --no-trunc web"
    )
    assert f"web.2 is pending: {why}" in told(result)


@pytest.mark.usefixtures("_time_is_over_once_something_is_known")
def test_time_runs_out_before_it_was_up_for_long_enough(
    create: Creating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "STABLE_SECONDS", 60.0)
    ready = message(service(), builders.task("t1"))
    result = create([ready, SILENCE], args=("--wait-timeout", "300ms"))
    assert (result.code, "not been up for long enough" in result.err) == (3, True)


LOOK = "See why: swarmctl service ps --no-trunc web"


@pytest.mark.parametrize(
    ("last", "code", "told"),
    [
        (
            message(service(state=Update.STATE_PAUSED, text="web.1 failed")),
            3,
            f"the update is paused: web.1 failed. {LOOK}; then go on: swarmctl service update web,"
            " or go back: swarmctl service rollback web",
        ),
        (
            message(service(state=Update.STATE_ROLLBACK_PAUSED)),
            3,
            f"the rollback is paused. {LOOK}; then go on: swarmctl service rollback web",
        ),
        (
            message(service(state=Update.STATE_ROLLBACK_COMPLETED, text="rollback completed")),
            3,
            f"it was rolled back: rollback completed. {LOOK}",
        ),
        (message(version=9, resync=True), 1, "the service was removed"),
    ],
)
def test_there_is_no_use_in_waiting_on(
    create: Creating, last: control_pb2.WatchMessage, code: int, told: str
) -> None:
    result = create([message(service()), last, SILENCE])
    assert result.code == code
    assert result.err.splitlines()[-1] == f"swarmctl: service web did not converge: {told}"


def test_a_rollback_that_nobody_asked_for_is_waited_for_and_its_cause_told(
    create: Creating,
) -> None:
    going_back = service(state=Update.STATE_ROLLBACK_STARTED, text="rolled back: t2 failed")
    back = service(state=Update.STATE_ROLLBACK_COMPLETED, text="rollback completed")
    steps = [message(service()), message(going_back), message(back, builders.task("t1")), SILENCE]
    result = create(steps)
    assert result.code == 3
    assert "it was rolled back: rolled back: t2 failed. " in result.err


@pytest.mark.usefixtures("_time_is_over_once_something_is_known")
def test_a_rollback_under_way_is_shown_with_its_cause(create: Creating) -> None:
    going_back = service(state=Update.STATE_ROLLBACK_STARTED, text="rolled back: t2 failed")
    result = create([message(going_back), SILENCE], args=("--wait-timeout", "300ms"))
    assert result.code == 3
    assert "web: the service is being rolled back: rolled back: t2 failed" in told(result)


def test_a_manager_that_lags_behind_has_not_removed_the_service(create: Creating) -> None:
    late = [message(version=4), message(service(), builders.task("t1")), SILENCE]
    assert create(late).code == 0


def test_a_watch_that_breaks_is_begun_anew(create: Creating, daemon: ScriptedDaemon) -> None:
    create.replicas = 2
    tasks = [builders.task("t1", slot=1), builders.task("t2", slot=2)]
    gone = builders.task("t0", slot=2, state=states.FAILED)
    result = create(
        [message(service(2), tasks[0], gone), BROKEN],
        [],
        [message(service(2), *tasks), SILENCE],
    )
    assert result.code == 0
    assert len(daemon.asked("Watch")) == 3


def test_a_watch_that_is_refused_is_not(create: Creating) -> None:
    result = create([SwarmError(Code.DENIED, "you may not look")])
    assert (result.code, result.err.splitlines()[-1]) == (1, "swarmctl: you may not look")


def test_a_watch_that_stays_broken(create: Creating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmctl.cli.waiting.PATIENCE", 0.5)
    result = create([BROKEN])
    assert (result.code, result.err.splitlines()[-1]) == (4, "swarmctl: the manager is gone")


@pytest.mark.parametrize("moved", [BROKEN, SwarmError(Code.CANCELLED, "another one leads")])
def test_the_wait_goes_on_at_another_manager(tmp_path: Path, moved: SwarmError) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with ScriptedDaemon(folders[0]) as one, ScriptedDaemon(folders[1]) as two:
        contexts.save(contexts.Context("both", (one.address, two.address)))
        starting = builders.task("t1", state=states.STARTING)
        one.on("CreateService", service())
        one.on("Watch", [message(service(), starting), moved])
        two.on("Watch", [message(service(), builders.task("t1")), SILENCE])
        args = ("service", "create", "--name", "web", "--wait-timeout", "5s", "app:1")
        result = CommandLine("--context", "both")(*args)
        assert (result.code, told(result)[-1]) == (0, "web: converged")
        assert (len(one.asked("Watch")), len(two.asked("Watch"))) == (1, 1)


def test_an_update_is_shown(create: Creating) -> None:
    result = create(
        [
            message(service(state=Update.STATE_UPDATING), builders.task("t1")),
            message(service(state=Update.STATE_COMPLETED)),
            SILENCE,
        ]
    )
    assert result.code == 0
    assert told(result)[-1] == "web: converged"


@pytest.mark.usefixtures("_time_is_over_once_something_is_known")
def test_many_tasks_are_summed_up(create: Creating) -> None:
    create.replicas = 25
    tasks = [
        builders.task(f"t{n}", slot=n, state=states.PENDING, error="no suitable node")
        for n in range(1, 26)
    ]
    result = create([message(service(25), *tasks), SILENCE], args=("--wait-timeout", "300ms"))
    first, *_, last = said = [each for each in told(result) if each.startswith("web")]
    assert (first, last) == ("web: 0 out of 25 tasks are up", "web: no suitable node (25 tasks)")
    assert said[1:-1] in ([], ["web: not created yet (25 tasks)"])


def test_scaling_several_waits_for_each(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetService", service())
    daemon.on("UpdateService", service())
    daemon.on("Watch", [message(service(), builders.task("t1")), SILENCE])
    result = cli("service", "scale", "web=1", "other=1")
    assert (result.code, result.out) == (0, "web scaled to 1\nother scaled to 1\n")
    assert len(daemon.asked("Watch")) == 2
