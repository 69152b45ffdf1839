"""Plays a scenario of the orchestrator from its first block to its last. Compares nothing."""

from collections.abc import Callable, Sequence

from api import states
from api.errors import SwarmError
from api.times import duration, timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.orchestrator.rollback import respecified, rolled_back_by_hand
from manager.state.changes import copy, create, delete, update
from tests.support.builders import DOWN, READY, UNKNOWN, node, service
from tests.support.orchestrator_script.stage import Stage
from tests.support.raft_script.script import Block, Command, ScriptError

Spec = specs_pb2.ServiceSpec
_AVAILABILITIES = {
    "active": types_pb2.NODE_AVAILABILITY_ACTIVE,
    "pause": types_pb2.NODE_AVAILABILITY_PAUSE,
    "drain": types_pb2.NODE_AVAILABILITY_DRAIN,
}
_STATES = {"down": DOWN, "ready": READY, "unknown": UNKNOWN}
_ORDERS = {
    "stop-first": specs_pb2.UpdateConfig.ORDER_STOP_FIRST,
    "start-first": specs_pb2.UpdateConfig.ORDER_START_FIRST,
}
_ACTIONS = {
    "pause": specs_pb2.UpdateConfig.FAILURE_ACTION_PAUSE,
    "continue": specs_pb2.UpdateConfig.FAILURE_ACTION_CONTINUE,
    "rollback": specs_pb2.UpdateConfig.FAILURE_ACTION_ROLLBACK,
}
_CONDITIONS = {
    "any": specs_pb2.RestartPolicy.CONDITION_ANY,
    "on-failure": specs_pb2.RestartPolicy.CONDITION_ON_FAILURE,
    "none": specs_pb2.RestartPolicy.CONDITION_NONE,
}


def play(blocks: Sequence[Block], stage: Stage) -> list[list[str]]:
    """The transcript of each block."""
    return [_play_block(stage, block) for block in blocks]


def _play_block(stage: Stage, block: Block) -> list[str]:
    if block.expected is None:
        return []
    for command in block.commands:
        handler = _HANDLERS.get(command.name)
        if handler is None:
            raise ScriptError(f"there is no command {command.name}")
        handler(stage, command)
    return stage.transcript()


def _nodes(stage: Stage, command: Command) -> None:
    for name in command.words:
        stage.write(create(node(name)))


def _node(stage: Stage, command: Command) -> None:
    name, word = command.words
    found = stage.store.get(objects_pb2.Node, name)
    assert found is not None, f"no node {name}"
    if word == "gone":
        stage.write(delete(found))
        return
    changed = copy(found)
    if word in _STATES:
        changed.status.state = _STATES[word]
    else:
        changed.spec.availability = _AVAILABILITIES[word]
    stage.write(update(changed))


def _service(stage: Stage, command: Command) -> None:
    made = service(command.words[0])
    _edit(made.spec, command)
    stage.write(create(made))


def _update(stage: Stage, command: Command) -> None:
    present = stage.service(command.words[0])
    spec = Spec()
    spec.CopyFrom(present.spec)
    _edit(spec, command)
    stage.write(update(respecified(present, spec)))


def _rollback(stage: Stage, command: Command) -> None:
    try:
        changed = rolled_back_by_hand(stage.service(command.words[0]))
    except SwarmError as error:
        stage.say(f"refused: {error}")
    else:
        stage.write(update(changed))


def _remove(stage: Stage, command: Command) -> None:
    stage.write(delete(stage.service(command.words[0])))


def _report(stage: Stage, command: Command) -> None:
    task = copy(stage.task(command.words[0]))
    name = f"TASK_STATE_{command.words[1].upper()}"
    task.status.state = types_pb2.TaskState.Value(name)
    task.status.at.CopyFrom(timestamp(stage.now))
    assert task.status.state >= states.ASSIGNED, "only an agent reports"
    stage.write(update(task))


def _edit(spec: Spec, command: Command) -> None:
    """Options of a service: image=, replicas=, restart-*, update-*, rollback-*; the word force."""
    spec.task.force_update += "force" in command.words
    for key, value in command.options.items():
        word, _, field = key.partition("-")
        if key == "image":
            spec.task.container.image = value
        elif key == "replicas":
            spec.replicated.replicas = int(value)
        elif word == "restart":
            _edit_restart(spec.task.restart, field, value)
        elif word in ("update", "rollback"):
            _edit_config(getattr(spec, word), field, value)
        else:
            raise ScriptError(f"no option {key}")


def _edit_restart(policy: specs_pb2.RestartPolicy, field: str, value: str) -> None:
    if field == "condition":
        policy.condition = _CONDITIONS[value]
    elif field == "attempts":
        policy.max_attempts = int(value)
    else:
        getattr(policy, field).CopyFrom(duration(float(value)))


def _edit_config(config: specs_pb2.UpdateConfig, field: str, value: str) -> None:
    if field == "parallelism":
        config.parallelism = int(value)
    elif field == "order":
        config.order = _ORDERS[value]
    elif field == "action":
        config.failure_action = _ACTIONS[value]
    elif field == "ratio":
        config.max_failure_ratio = float(value)
    else:
        getattr(config, field).CopyFrom(duration(float(value)))


_HANDLERS: dict[str, Callable[[Stage, Command], None]] = {
    "nodes": _nodes,
    "node": _node,
    "service": _service,
    "update": _update,
    "rollback": _rollback,
    "remove": _remove,
    "report": _report,
    "settle": lambda stage, command: stage.settle(),
    "run": lambda stage, command: stage.run(float(command.words[0])),
    "leader": lambda stage, command: stage.new_leader(),
    "show": lambda stage, command: stage.show(stage.service(command.words[0])),
}
