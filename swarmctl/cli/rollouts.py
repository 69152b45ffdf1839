"""What people are told of updates, rollbacks and restarts: words and lines. Pure."""

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from swarmctl.cli.documents import enum_word
from swarmctl.cli.units import go_duration, rfc3339

Update = objects_pb2.UpdateStatus
Config = specs_pb2.UpdateConfig
DEFAULT_MONITOR = 5.0
UNDER_WAY = {
    Update.STATE_UPDATING: "the update is under way",
    Update.STATE_ROLLBACK_STARTED: "the service is being rolled back",
}
PAUSED = {
    Update.STATE_PAUSED: "the update is paused",
    Update.STATE_ROLLBACK_PAUSED: "the rollback is paused",
}
ROLLBACK = (
    Update.STATE_ROLLBACK_STARTED,
    Update.STATE_ROLLBACK_PAUSED,
    Update.STATE_ROLLBACK_COMPLETED,
)

Rows = list[tuple[str, str]]


def word_of(status: Update) -> str:
    """The state as Docker writes it: rollback_started; nothing where there never was an update."""
    return (
        enum_word(status.DESCRIPTOR.fields_by_name["state"], status.state) if status.state else ""
    )


def status_rows(status: Update) -> Rows:
    """Lines of `service inspect --pretty` about the last update; none if there never was one."""
    if not status.state:
        return []
    rows = [("UpdateStatus", ""), (" State", word_of(status))]
    if status.HasField("started_at"):
        rows.append((" Started", rfc3339(seconds_of(status.started_at))))
    if status.HasField("completed_at"):
        rows.append((" Completed", rfc3339(seconds_of(status.completed_at))))
    return [*rows, (" Message", status.message)]


def config_rows(word: str, config: Config) -> Rows:
    """Lines of `service inspect --pretty` about a config, with what unset fields mean.

    `word`: Update or Rollback.
    """
    kinds = config.DESCRIPTOR.fields_by_name
    parallelism = config.parallelism if config.HasField("parallelism") else 1
    monitor = seconds_of(config.monitor) if config.HasField("monitor") else DEFAULT_MONITOR
    delay = seconds_of(config.delay)
    return [
        (f"{word}Config", ""),
        (" Parallelism", str(parallelism)),
        *([(" Delay", go_duration(delay))] if delay else []),
        (" On failure", enum_word(kinds["failure_action"], config.failure_action)),
        (" Monitoring Period", go_duration(monitor)),
        (" Max failure ratio", f"{config.max_failure_ratio:g}"),
        (f" {word} order", enum_word(kinds["order"], config.order)),
    ]


def how_to_go_on(service: objects_pb2.Service) -> str:
    """What to do about a service whose rollout stopped."""
    name = service.spec.annotations.name
    look = f"see why: swarmctl service ps --no-trunc {name}"
    if service.update_status.state == Update.STATE_PAUSED:
        return (
            f"{look}; then go on: swarmctl service update {name},"
            f" or go back: swarmctl service rollback {name}"
        )
    if service.update_status.state == Update.STATE_ROLLBACK_PAUSED:
        return f"{look}; then go on: swarmctl service rollback {name}"
    return look


def restart_note(task: objects_pb2.Task, now: float) -> str:
    """When and why a task that waits for its turn starts; nothing if it does not wait."""
    waits = seconds_of(task.start_after) - now
    if not task.restarts or task.desired_state != states.READY or states.is_terminal(task):
        return ""
    times = "once" if task.restarts == 1 else f"{task.restarts} times in a row"
    when = f"in {go_duration(max(1, round(waits)))}" if waits > 0 else "now"
    return f"restarts again {when}: failed {times}"
