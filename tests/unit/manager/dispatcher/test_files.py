"""A node has exactly the secrets and configs that its tasks need, whatever order things have."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import states
from api.files import Key
from api.payloads import Content
from api.v1 import objects_pb2
from manager.dispatcher.assignments import MAX_BYTES, Assignments, Change, Message
from manager.state.files import File
from tests.support.builders import task
from tests.support.no_networks import no_networks
from worker.held_files import HeldFiles

Task = objects_pb2.Task
NAMES = ("a", "b", "c", "gone")
KEYS: list[Key] = [("secret", name) for name in NAMES] + [("config", name) for name in NAMES]
GRPC_LIMIT = 4 << 20


def find(key: Key) -> File | None:
    """Every file but those that were removed."""
    kind, name = key
    if name == "gone":
        return None
    file = objects_pb2.Secret(id=name) if kind == "secret" else objects_pb2.Config(id=name)
    file.spec.annotations.name = f"called-{name}"
    file.spec.annotations.labels["owner"] = "nobody's business"
    file.spec.data = f"{kind} {name}".encode()
    file.spec.template_driver = "golang" if kind == "config" else ""
    return file


def using(task_id: str, keys: list[Key], state: int = states.RUNNING, desired: int = 512) -> Task:
    made = task(task_id, node_id="n1", state=state, desired=desired)  # type: ignore[arg-type]
    for kind, name in keys:
        references = (
            made.spec.container.secrets if kind == "secret" else made.spec.container.configs
        )
        references.add(source=f"called-{name}", id=name)
    return made


STATES = st.sampled_from(
    [states.PENDING, states.ASSIGNED, states.PREPARING, states.RUNNING, states.FAILED]
)
DESIRED = st.sampled_from([states.READY, states.RUNNING, states.COMPLETE, states.SHUTDOWN])
TASKS = st.builds(
    using, st.sampled_from("123456"), st.lists(st.sampled_from(KEYS), max_size=3), STATES, DESIRED
)
STEPS = st.lists(
    st.one_of(
        TASKS,
        st.sampled_from("123456"),  # the task is deleted
        st.sampled_from(["flush", "resync", "reconnect", "restart"]),
    ),
    max_size=40,
)


@dataclass
class Pair:
    """A manager's idea of a node, and the node."""

    core: Assignments = field(default_factory=lambda: Assignments("n1", find, no_networks()))
    node: HeldFiles = field(default_factory=HeldFiles)
    tasks: dict[str, Task] = field(default_factory=dict)

    def take(self, step: Task | str) -> None:
        match step:
            case Task():
                self.tasks[step.id] = step
                self.core.observe(step.id, step, 0.0)
            case "flush":
                self.hear(self.core.flush())
            case "resync":
                self.core.resync(self.tasks.values(), 0.0)
            case "reconnect" | "restart":
                self.node = HeldFiles() if step == "restart" else self.node
                self.core = Assignments("n1", find, no_networks())
                self.hear(self.core.complete(self.tasks.values()))
            case _:
                self.tasks.pop(step, None)
                self.core.observe(step, None, 0.0)

    def hear(self, messages: list[Message]) -> None:
        for message in messages:
            assert message.ByteSize() < GRPC_LIMIT
            self.node.follow(message)

    def needed(self) -> dict[Key, Content]:
        found: dict[Key, Content] = {}
        for each in self.tasks.values():
            if not states.ASSIGNED <= each.status.state <= states.RUNNING:
                continue
            if each.desired_state >= states.SHUTDOWN:
                continue
            container = each.spec.container
            keys: list[Key] = [("secret", r.id) for r in container.secrets]
            keys += [("config", r.id) for r in container.configs]
            found |= {
                key: Content(file.spec.data, file.spec.template_driver)
                for key in keys
                if (file := find(key)) is not None
            }
        return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_a_node_holds_exactly_what_its_tasks_need(steps: list[Task | str]) -> None:
    pair = Pair()
    pair.take("restart")
    for step in steps:
        pair.take(step)
        if step in ("flush", "reconnect", "restart"):
            assert dict(pair.node.contents) == pair.needed()
    pair.take("flush")
    assert dict(pair.node.contents) == pair.needed()
    assert pair.core.due() is None


def items(messages: list[Message]) -> list[tuple[int, str, str]]:
    return [
        (change.action, item, getattr(change, item).id)
        for message in messages
        for change in message.changes
        if (item := change.WhichOneof("item")) is not None
    ]


UPDATE, REMOVE = Change.ACTION_UPDATE, Change.ACTION_REMOVE


def test_files_come_before_the_first_task_that_needs_them_and_go_after_the_last() -> None:
    core = Assignments("n1", find, no_networks())
    core.complete([])
    core.observe("1", using("1", [("secret", "a")], states.ASSIGNED), 0.0)
    core.observe("2", using("2", [("secret", "a"), ("config", "b")], states.ASSIGNED), 0.0)
    assert items(core.flush()) == [
        (UPDATE, "secret", "a"),
        (UPDATE, "config", "b"),
        (UPDATE, "task", "1"),
        (UPDATE, "task", "2"),
    ]
    core.observe("2", None, 0.0)
    assert items(core.flush()) == [(REMOVE, "task", "2"), (REMOVE, "config", "b")]
    # Of an end that the node itself reported, the files alone are news.
    core.observe("1", using("1", [("secret", "a")], states.FAILED), 5.0)
    assert core.due() is not None
    assert items(core.flush()) == [(REMOVE, "secret", "a")]


def test_a_node_is_told_no_more_of_a_file_than_its_tasks_may_see() -> None:
    core = Assignments("n1", find, no_networks())
    (message,) = core.complete([using("1", [("secret", "a"), ("config", "b")])])
    secret, config = message.changes[1].secret, message.changes[0].config
    for told, data in ((secret, b"secret a"), (config, b"config b")):
        assert told.spec.data == data
        assert not told.spec.annotations.labels
        assert not told.HasField("meta")


def test_files_too_large_for_one_message_follow_and_what_is_held_stays() -> None:
    def large(key: Key) -> objects_pb2.Config:
        file = objects_pb2.Config(id=key[1])
        file.spec.data = b"x" * (1000 << 10)
        return file

    keys: list[Key] = [("config", f"c{number}") for number in range(9)]
    core, node = Assignments("n1", large, no_networks()), HeldFiles()
    held = Message(type=Message.TYPE_COMPLETE)
    held.changes.add().config.CopyFrom(large(keys[8]))
    node.follow(held)
    complete, *others = core.complete([using("1", keys)])
    node.follow(complete)
    assert keys[8] in node.contents
    for message in others:
        assert message.ByteSize() < MAX_BYTES + 1000
        node.follow(message)
    assert set(node.contents) == set(keys)
