"""What operators may ask for data that is on one node, and what is refused before it changes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2, volume_pb2
from manager.control.volume_moves import VolumeMoves
from manager.state.changes import StoredObject, batch, create
from manager.state.store import Store
from tests.support.builders import DOWN, DRAIN, node, volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


def host(name: str, *, local: bool = True, down: bool = False) -> objects_pb2.Node:
    made = node(name)
    if local:
        made.description.volume_drivers.add(name="local", local=True)
    if down:
        made.status.state = DOWN
    return made


def data(name: str = "data", *holders: tuple[str, int], **fields: str) -> Volume:
    return volume(name, *holders, **{"driver": "local", "home": "n1", **fields})  # type: ignore[arg-type]


class Desk:
    """Nodes n1 to n3, where they are not among the objects."""

    def __init__(self, *objects: StoredObject) -> None:
        self.store = Store()
        proposer = DirectProposer(self.store, lambda: 1000.0)
        self.moves = VolumeMoves(self.store, proposer, counter("id-"))
        self.requests = counter("r-")
        known = {each.id for each in objects}
        nodes = [host(name) for name in ("n1", "n2", "n3") if name not in known]
        run(proposer.propose([batch(create(each)) for each in (*nodes, *objects)]))

    def the(self, name: str = "data") -> Volume:
        found = self.store.get(Volume, name)
        assert found is not None
        return found

    def migrate(self, node_key: str, request_id: str = "", *, force: bool = False) -> Volume:
        request = control_pb2.MigrateVolumeRequest(
            key="data", node_key=node_key, request_id=request_id or self.requests(), force=force
        )
        made: Volume = run(self.moves.migrate(request))
        return made

    def refused(self, node_key: str, *, force: bool = False) -> SwarmError:
        before = [*self.store.all(Volume)]
        with pytest.raises(SwarmError) as caught:
            self.migrate(node_key, force=force)
        assert [*self.store.all(Volume)] == before
        return caught.value

    def restore(self, node_key: str = "", **spec: Any) -> Volume:
        head = volume_pb2.RestoreVolumeHead(node_key=node_key)
        head.spec.annotations.name = "copy"
        head.spec.MergeFrom(type(head.spec)(**spec))
        made: Volume = run(self.moves.restore(head))
        return made


def test_a_move_begins_once() -> None:
    desk = Desk(data("data", ("n1", 1)))
    moving = desk.migrate("n2", "r")
    assert (moving.transfer.kind, moving.transfer.node_id) == (Transfer.KIND_MIGRATE, "n2")
    assert desk.migrate("n2", "r") == moving
    assert desk.migrate("n2") == moving, "it is under way already"
    assert desk.refused("n3").code is Code.REFUSED
    assert desk.refused("n1").why == "its data moves to node n2"


def test_there_may_be_nothing_to_move() -> None:
    assert not Desk(data()).migrate("n1").HasField("transfer")
    unused = Desk(data(home=""))
    assert unused.migrate("n2").transfer.node_id == ""
    assert unused.the().home == "n2"


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([data(), host("n2", down=True)], "node n2 cannot take a volume"),
        ([data(), host("n2", local=False)], "node n2 cannot take a volume"),
        ([data(home="n9")], "volume data cannot be moved"),
        ([data(driver="sshfs")], "volume data is of driver sshfs"),
    ],
)
def test_what_cannot_move(objects: list[StoredObject], words: str) -> None:
    assert Desk(*objects).refused("n2").what == words


def test_only_a_move_is_given_up() -> None:
    desk = Desk(data())
    assert "is not being moved" in desk.refused("").what
    desk.migrate("n2")
    stays = desk.migrate("")
    assert (stays.home, stays.transfer.kind) == ("n1", Transfer.KIND_CLEAR)
    assert "is not being moved" in desk.refused("").what
    why = desk.refused("n3").why
    assert why == "node n2 has yet to delete an older copy of its data"


def test_a_copy_on_a_node_that_is_away_is_given_up_where_that_is_said() -> None:
    desk = Desk(data())
    assert "is not being moved" in desk.refused("", force=True).what
    desk.migrate("n2")
    desk.migrate("")
    assert "migrate --cancel --force data" in desk.refused("n3").remedy
    stays = desk.migrate("", force=True)
    assert (stays.home, stays.HasField("transfer")) == ("n1", False)
    assert desk.migrate("n3").transfer.node_id == "n3"
    assert not desk.migrate("", force=True).HasField("transfer"), "while it is made, too"
    assert "it is to a node" in desk.refused("n2", force=True).what


def test_a_restore_goes_where_it_is_told_or_to_the_node_with_the_fewest() -> None:
    desk = Desk(data(), data("other", home="n2"))
    assert desk.restore().transfer.node_id == "n3"
    assert Desk().restore("n2").transfer.node_id == "n2"
    drained = host("n1")
    drained.spec.availability = DRAIN
    assert Desk(drained).restore().transfer.node_id == "n2"
    with pytest.raises(SwarmError, match="no node can take a volume"):
        Desk(*(host(name, local=False) for name in ("n1", "n2", "n3"))).restore()


@pytest.mark.parametrize("spec", [{"driver": "sshfs"}, {"driver_options": {"device": "/dev/sdb"}}])
def test_only_folders_are_restored(spec: dict[str, Any]) -> None:
    with pytest.raises(SwarmError) as caught:
        Desk().restore(**spec)
    assert caught.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda v: None, {"stop": True, "live": True}, "either stopped or left alone"),
        (lambda v: v.holders.add(node_id="n1", epoch=1), {}, "is in use"),
        (lambda v: setattr(v, "home", "n9"), {}, "cannot be saved"),
        (lambda v: v.transfer.SetInParent(), {}, "is done with volume data already"),
    ],
)
def test_what_is_not_saved(
    change: Callable[[Volume], object], options: dict[str, bool], words: str
) -> None:
    found = data()
    found.epoch = 1
    change(found)
    desk = Desk(found)
    request = volume_pb2.BackupVolumeRequest(key="data", **options)
    with pytest.raises(SwarmError) as caught:
        run(desk.moves.save(request))
    assert words in caught.value.what + caught.value.why


def test_a_home_that_is_down_saves_nothing() -> None:
    desk = Desk(data(), host("n1", down=True))
    with pytest.raises(SwarmError, match="cannot be saved") as caught:
        run(desk.moves.save(volume_pb2.BackupVolumeRequest(key="data")))
    assert caught.value.why == "node n1 does not answer"
