"""Volumes through the API: what is answered, and what is refused before it changes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.control import listing
from manager.control.references import with_ids
from manager.control.volumes import Volumes
from manager.state.changes import batch, create
from manager.state.store import Store
from tests.support.builders import mount, node, service, task_spec, volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

Mount = specs_pb2.Mount
Spec = specs_pb2.VolumeSpec
Volume = objects_pb2.Volume


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


class Desk:
    def __init__(self, *objects: Any) -> None:
        self.store = Store()
        self.proposer = DirectProposer(self.store, lambda: 1000.0)
        self.volumes = Volumes(self.store, self.proposer, counter("id-"))
        self._requests = counter("r-")
        run(self.proposer.propose([batch(create(each)) for each in objects]))

    def create(self, name: str, request_id: str = "", **fields: Any) -> Volume:
        spec = Spec(annotations=types_pb2.Annotations(name=name), **fields)
        request = control_pb2.CreateVolumeRequest(
            spec=spec, request_id=request_id or self._requests()
        )
        made: Volume = run(self.volumes.create(request))
        return made

    def update(self, made: Volume, edit: Callable[[Spec], object], version: int = 0) -> Volume:
        spec = Spec()
        spec.CopyFrom(made.spec)
        edit(spec)
        request = control_pb2.UpdateVolumeRequest(
            key=made.id,
            spec=spec,
            version=version or made.meta.version,
            request_id=self._requests(),
        )
        changed: Volume = run(self.volumes.update(request))
        return changed

    def remove(self, key: str, request_id: str = "", *, force: bool = False) -> str:
        request = control_pb2.RemoveRequest(
            key=key, request_id=request_id or self._requests(), force=force
        )
        return str(run(self.volumes.remove(request)).id)

    def free(self, key: str, node_key: str = "") -> Volume:
        request = control_pb2.ForceReleaseVolumeRequest(
            key=key, node_key=node_key, request_id=self._requests()
        )
        made: Volume = run(self.volumes.force_release(request))
        return made

    def the(self, name: str) -> Volume:
        found = self.store.named(Volume, name)
        assert found is not None
        return found

    def names(self, **asked: Any) -> list[str]:
        found = listing.volumes(self.store, control_pb2.ListVolumesRequest(**asked))
        return [each.spec.annotations.name for piece in found for each in piece]


def test_a_volume_is_made_once() -> None:
    desk = Desk()
    made = desk.create("data", request_id="same")
    assert desk.create("data", request_id="same").id == made.id
    with pytest.raises(SwarmError) as taken:
        desk.create("data")
    assert taken.value.code is Code.EXISTS
    assert desk.remove("data", "gone") == desk.remove("data", "gone") == made.id
    with pytest.raises(SwarmError, match="removed since"):
        desk.create("data", request_id="same")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"driver": "a b"}, "driver"),
        ({"access": Spec.ACCESS_MANY_WRITERS}, "access"),
        ({"driver": "x", "access": Spec.ACCESS_MANY_WRITERS, "sharing": 3}, "sharing"),
        ({"group": "group:a"}, "group"),
        ({"lease_term": {"seconds": 1}}, "lease_term"),
        ({"driver": "x", "required_bytes": 2, "limit_bytes": 1}, "limit_bytes"),
        ({"driver": "x", "required_bytes": -1}, "required_bytes"),
        ({"driver": "x", "secrets": [{"key": "a"}]}, "secrets[0]"),
        ({"driver": "x", "topology_required": [{}]}, "topology_required[0]"),
        ({"limit_bytes": 1}, "limit_bytes"),
        ({"secrets": [{"key": "a", "secret": "b"}]}, "secrets"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        Desk().create("data", **fields)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "x" * 65])
def test_names(name: str) -> None:
    with pytest.raises(SwarmError):
        Desk().create(name)


def test_labels_availability_and_group_change_and_nothing_else() -> None:
    desk = Desk()
    made = desk.create("data", driver="x")
    changed = desk.update(made, lambda spec: setattr(spec, "group", "db"))
    assert changed.spec.group == "db"
    with pytest.raises(SwarmError, match="driver of a volume cannot change"):
        desk.update(changed, lambda spec: setattr(spec, "driver", "y"))
    with pytest.raises(SwarmError) as stale:
        desk.update(changed, lambda spec: setattr(spec, "group", ""), version=1)
    assert stale.value.code is Code.CONFLICT


def test_the_term_changes_only_while_nobody_counts_by_it() -> None:
    desk = Desk(node("n1"), volume("data", ("n1", 1)))
    with pytest.raises(SwarmError, match="while the volume is held"):
        desk.update(desk.the("data"), lambda spec: spec.lease_term.FromSeconds(60))
    desk.free("data")
    desk.update(desk.the("data"), lambda spec: spec.lease_term.FromSeconds(60))


def test_a_volume_in_use_is_not_removed() -> None:
    desk = Desk(volume("data"), service("web", spec=mount(task_spec(), "data", "data")))
    with pytest.raises(SwarmError, match="by service web") as refused:
        desk.remove("data")
    assert refused.value.code is Code.REFUSED


def driven(name: str, **flags: bool) -> Any:
    made = node(name)
    made.description.volume_drivers.add(name="shared", **flags)
    return made


def test_what_a_driver_has_to_delete_is_gone_once_it_has() -> None:
    made = volume("data")
    made.made.handle = "h"
    desk = Desk(driven("n1", creates=True), made, volume("fresh"), service("web"))
    desk.remove("data")
    assert desk.the("data").removing
    desk.remove("data")
    assert desk.the("data").removing
    with pytest.raises(SwarmError, match="is being removed"):
        with_ids(desk.store, service("web", spec=mount(task_spec(), "data", "data")).spec)
    desk.remove("data", force=True)
    assert desk.names() == ["fresh"]


def test_what_may_be_under_way_to_be_made_is_not_forgotten() -> None:
    desk = Desk(driven("n1", creates=True), volume("fresh"), volume("other", driver="other"))
    desk.remove("fresh")
    desk.remove("other")
    assert desk.names() == ["fresh"]
    assert desk.the("fresh").removing


def test_a_driver_is_told_of_sizes_only_if_it_makes_volumes() -> None:
    desk = Desk(driven("n1"))
    with pytest.raises(SwarmError, match="is not told of it") as refused:
        desk.create("data", driver="shared", required_bytes=1)
    assert refused.value.field == "required_bytes"
    desk.create("data", driver="unknown", required_bytes=1)
    Desk(driven("n1", creates=True)).create("data", driver="shared", required_bytes=1)


def test_secrets_of_a_volume_have_to_be_there() -> None:
    given = [{"key": "token", "secret": "db"}]
    with pytest.raises(SwarmError, match="there is no secret 'db'"):
        Desk().create("data", driver="shared", secrets=given)
    there = objects_pb2.Secret(id="s")
    there.spec.annotations.name = "db"
    Desk(there).create("data", driver="shared", secrets=given)


def test_an_operator_frees_what_its_storage_has_yet_to_close() -> None:
    held = volume("data", ("n1", 1))
    held.holders[0].opens = True
    desk = Desk(node("n1"), held)
    assert [each.state for each in desk.free("data").holders] == [
        objects_pb2.VolumeHolder.STATE_CLOSING
    ]
    assert not desk.free("data").holders


def test_an_operator_frees_a_volume() -> None:
    desk = Desk(node("n1"), volume("data", ("n1", 1)), node("n2"))
    with pytest.raises(SwarmError, match="node n2 does not hold"):
        desk.free("data", "n2")
    assert not desk.free("data", "n1").holders
    with pytest.raises(SwarmError, match="no node holds"):
        desk.free("data")


def test_lists() -> None:
    desk = Desk(
        node("n1"), node("n2"), volume("a", ("n1", 1), group="db"), volume("b", driver="local")
    )
    assert desk.names() == ["a", "b"]
    assert desk.names(dangling=[True]) == ["b"]
    assert desk.names(drivers=["local"]) == ["b"]
    assert desk.names(groups=["db"]) == ["a"]
    assert desk.names(node_keys=["n1"]) == ["a"]
    assert desk.names(node_keys=["n2"]) == []
    assert desk.names(names=["b"]) == ["b"]


def resolved(*mounts: Mount) -> list[str]:
    desk = Desk(volume("data"), volume("docs", access=Spec.ACCESS_MANY_READERS))
    spec = specs_pb2.ServiceSpec()
    spec.task.container.mounts.extend(mounts)
    return [each.volume_id for each in with_ids(desk.store, spec).task.container.mounts]


def test_mounts_name_volumes_of_the_swarm_or_their_node_s_own() -> None:
    assert resolved(
        Mount(type=Mount.TYPE_VOLUME, source="data"),
        Mount(type=Mount.TYPE_VOLUME, source="own", volume_id="forged"),
        Mount(type=Mount.TYPE_CLUSTER, source="group:db"),
        Mount(type=Mount.TYPE_CLUSTER, source="data-{{.Task.Slot}}"),
        Mount(type=Mount.TYPE_VOLUME),
        Mount(type=Mount.TYPE_BIND, source="data"),
    ) == ["data", "", "", "", "", ""]


@pytest.mark.parametrize(
    ("mount_", "words"),
    [
        (Mount(type=Mount.TYPE_CLUSTER, source="none"), "there is no volume 'none'"),
        (Mount(type=Mount.TYPE_VOLUME, source="data", volume_driver="x"), "has the driver shared"),
        (Mount(type=Mount.TYPE_VOLUME, source="data", volume_options={"a": "b"}), "options"),
        (Mount(type=Mount.TYPE_CLUSTER, source="docs"), "many readers"),
    ],
)
def test_mounts_that_cannot_be(mount_: Mount, words: str) -> None:
    with pytest.raises(SwarmError, match=words):
        resolved(mount_)


@pytest.mark.parametrize("kind", objects_pb2.VolumeTransfer.Kind.values())
def test_what_is_done_with_its_data_keeps_a_volume_unless_it_is_forced(
    kind: objects_pb2.VolumeTransfer.Kind.ValueType,
) -> None:
    made = volume("data", driver="local", home="n1")
    made.transfer.CopyFrom(objects_pb2.VolumeTransfer(id="m", kind=kind, node_id="n1"))
    desk = Desk(made)
    if kind != objects_pb2.VolumeTransfer.KIND_CLEAR:
        with pytest.raises(SwarmError) as caught:
            desk.remove("data")
        assert "in use" in caught.value.what
    desk.remove("data", force=True)
    assert desk.names() == []


def test_what_a_service_uses_is_not_even_given_up_by_force() -> None:
    made = volume("data", driver="local", home="n1")
    made.transfer.CopyFrom(objects_pb2.VolumeTransfer(id="m", node_id="n2"))
    desk = Desk(made, service("db", spec=mount(task_spec(), "data", "data")))
    with pytest.raises(SwarmError):
        desk.remove("data", force=True)
    assert desk.the("data").HasField("transfer")
