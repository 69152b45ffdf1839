"""What a node is told of its volumes."""

from api.v1 import dispatcher_pb2, objects_pb2
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.volumes import NodeVolumes
from manager.state.changes import copy
from tests.support.builders import given, task, volume
from tests.support.no_networks import no_networks

Change = dispatcher_pb2.AssignmentChange
Message = dispatcher_pb2.AssignmentsMessage
Volume = objects_pb2.Volume


class Desk:
    def __init__(self, *volumes: Volume) -> None:
        self.volumes = {each.id: each for each in volumes}
        self.node = NodeVolumes("n1", self.volumes.get)

    def put(self, made: Volume) -> list[tuple[str, str, int]]:
        self.volumes[made.id] = made
        self.node.changed(made.id)
        return said([*self.node.updates(), *self.node.removals()])


def said(changes: list[Change]) -> list[tuple[str, str, int]]:
    words = {Change.ACTION_UPDATE: "update", Change.ACTION_REMOVE: "remove"}
    return [(words[each.action], each.volume.id, each.volume.epoch) for each in changes]


def test_a_node_hears_of_its_own_alone() -> None:
    desk = Desk(volume("data", ("n1", 1)))
    assert said(desk.node.begin(desk.volumes.values())) == [("update", "data", 1)]
    assert desk.put(volume("other", ("n2", 1))) == []
    assert desk.put(volume("mine", ("n1", 4))) == [("update", "mine", 4)]


def test_what_is_to_be_let_go_has_its_epoch_and_what_is_lost_has_none() -> None:
    desk = Desk(volume("data", ("n1", 1)))
    desk.node.begin(desk.volumes.values())
    assert desk.put(volume("data", ("n1", 1), releasing=True)) == [("remove", "data", 1)]
    assert desk.put(volume("data", ("n1", 1), releasing=True)) == []
    assert desk.put(volume("data", ("n2", 2))) == [("remove", "data", 0)]
    assert desk.put(volume("data", ("n2", 2))) == []


def test_a_new_session_hears_again_what_is_to_be_let_go() -> None:
    desk = Desk(volume("data", ("n1", 1), releasing=True))
    assert desk.node.begin(desk.volumes.values()) == []
    assert desk.node.news == 1
    assert said(desk.node.removals()) == [("remove", "data", 1)]


def test_the_next_epoch_takes_the_place_of_the_former() -> None:
    desk = Desk(volume("data", ("n1", 1)))
    desk.node.begin(desk.volumes.values())
    assert desk.put(volume("data", ("n1", 2))) == [("update", "data", 2)]


def test_what_was_taken_back_in_the_end_is_no_news() -> None:
    desk = Desk(volume("data", ("n1", 1)))
    desk.node.begin(desk.volumes.values())
    before = desk.volumes["data"]
    desk.volumes["data"] = volume("data")
    desk.node.changed("data")
    desk.volumes["data"] = before
    desk.node.changed("data")
    assert desk.node.news == 0
    desk.volumes["data"] = volume("data", ("n1", 1), term=60)
    desk.node.resync(desk.volumes.values())
    assert said(desk.node.updates()) == [("update", "data", 1)]


def test_a_volume_comes_before_its_task_and_goes_after_it() -> None:
    desk = Desk(volume("data", ("n1", 1)), volume("late", ("n1", 2), releasing=True))
    stream = Assignments("n1", lambda _: None, no_networks(), volumes=desk.node)
    holder = given(task("t1", node_id="n1"), "data", 1)
    complete, late = stream.complete([holder], 7, volumes=desk.volumes.values())
    assert [each.WhichOneof("item") for each in complete.changes] == ["volume", "task"]
    assert said(list(late.changes)) == [("remove", "late", 2)]
    assert (complete.version, late.version) == (0, 7), "nothing counts as applied before"
    desk.volumes["data"] = volume("data", ("n1", 1), releasing=True)
    stopped = copy(holder)
    stopped.spec_version += 1
    stream.observe("t1", stopped, 1.0)
    stream.observe_volume("data", 1.0)
    (message,) = stream.flush(8)
    assert [each.WhichOneof("item") for each in message.changes] == ["task", "volume"]
    assert stream.due() is None


def test_a_task_is_told_of_once_the_storage_lets_its_node_in() -> None:
    opening = volume("data", ("n1", 1))
    opening.holders[0].state = objects_pb2.VolumeHolder.STATE_OPENING
    desk = Desk(opening)
    stream = Assignments("n1", lambda _: None, no_networks(), volumes=desk.node)
    waiting = given(task("t1", node_id="n1"), "data", 1)
    (complete,) = stream.complete([waiting], 7, volumes=desk.volumes.values())
    assert not complete.changes
    desk.volumes["data"] = held = volume("data", ("n1", 1))
    held.holders[0].publish_context["device"] = "sdb"
    stream.observe_volume("data", 1.0)
    stream.observe("t1", waiting, 1.0)
    (message,) = stream.flush(8)
    assert [each.WhichOneof("item") for each in message.changes] == ["volume", "task"]
    assert dict(message.changes[0].volume.publish_context) == {"device": "sdb"}


def test_what_the_storage_has_closed_is_lost() -> None:
    desk = Desk(volume("data", ("n1", 1)))
    desk.node.begin(desk.volumes.values())
    fenced = volume("data", ("n1", 1))
    fenced.holders[0].state = objects_pb2.VolumeHolder.STATE_FENCED
    assert desk.put(fenced) == [("remove", "data", 0)]


def test_drivers_are_given_their_secrets_by_their_own_keys() -> None:
    held = volume("data", ("n1", 1))
    stream = NodeVolumes("n1", {"data": held}.get, lambda _: {"key": b"open sesame"})
    (change,) = stream.begin([held])
    assert dict(change.volume.secrets) == {"key": b"open sesame"}
