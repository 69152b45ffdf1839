"""What the node keeps of secrets and configs is what the managers last said."""

from api.files import Key
from api.payloads import Content
from api.v1 import dispatcher_pb2, objects_pb2
from worker.held_files import Change, HeldFiles, Message

COMPLETE, INCREMENTAL = Message.TYPE_COMPLETE, Message.TYPE_INCREMENTAL
UPDATE, REMOVE = Change.ACTION_UPDATE, Change.ACTION_REMOVE


def given(name: str, data: bytes = b"") -> Change:
    """A secret, whole or as an outline."""
    made = objects_pb2.Secret(id=name)
    if data:
        made.spec.data = data
    return Change(action=UPDATE, secret=made)


def removed(name: str) -> Change:
    return Change(action=REMOVE, secret=objects_pb2.Secret(id=name))


def message(kind: dispatcher_pb2.AssignmentsMessage.Type.ValueType, *changes: Change) -> Message:
    return Message(type=kind, changes=changes)


def key(name: str) -> Key:
    return "secret", name


def test_a_complete_message_says_all_and_others_what_changes() -> None:
    held = HeldFiles()
    assert held.follow(message(COMPLETE, given("a", b"1"), given("b", b"2"))) == {
        key("a"),
        key("b"),
    }
    assert held.follow(message(INCREMENTAL, given("c", b"3"), removed("a"))) == {key("c")}
    assert dict(held.contents) == {key("b"): Content(b"2"), key("c"): Content(b"3")}
    assert held.follow(message(COMPLETE, given("c", b"3"))) == frozenset()
    assert dict(held.contents) == {key("c"): Content(b"3")}


def test_an_outline_keeps_what_is_there_and_gives_nothing() -> None:
    held = HeldFiles()
    held.follow(message(COMPLETE, given("a", b"1")))
    assert held.follow(message(COMPLETE, given("a"), given("b"))) == frozenset()
    assert dict(held.contents) == {key("a"): Content(b"1")}
    assert held.follow(message(INCREMENTAL, given("b", b"2"))) == {key("b")}


def test_tasks_and_what_a_later_version_sends_are_none_of_its_affair() -> None:
    task = Change(action=UPDATE, task=objects_pb2.Task(id="a"))
    held = HeldFiles()
    assert held.follow(message(COMPLETE, task, Change(action=UPDATE))) == frozenset()
    config = Change(action=UPDATE, config=objects_pb2.Config(id="a"))
    config.config.spec.data = b"x"
    config.config.spec.template_driver = "golang"
    held.follow(message(INCREMENTAL, config, removed("a")))
    assert dict(held.contents) == {("config", "a"): Content(b"x", "golang")}
