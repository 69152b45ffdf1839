"""From a task's mounts to volumes, and back to mounts of folders."""

from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import objects_pb2, specs_pb2
from runtime.driver import Fill
from runtime.volume.wants import OwnVolume
from worker.volume_book import Hold
from worker.volume_mounts import fills, settled, wanted

Mount = specs_pb2.Mount
ID = "t" * 25


def task(*mounts: Mount) -> objects_pb2.Task:
    made = objects_pb2.Task(id=ID)
    made.spec.container.mounts.extend(mounts)
    return made


def volume(source: str = "", target: str = "/data", **fields: object) -> Mount:
    return Mount(type=Mount.TYPE_VOLUME, source=source, target=target, **fields)  # type: ignore[arg-type]


def test_a_named_volume_is_the_nodes_own() -> None:
    given = task(volume("data", volume_driver="x", volume_options={"a": "b"}))
    (found,) = wanted(given, given.spec.container, {})
    assert found.own == OwnVolume("data", "x", {"a": "b"})
    assert found.hold is None


def test_one_without_a_source_goes_with_its_container_and_is_the_same_again() -> None:
    given = task(Mount(type=Mount.TYPE_BIND, source="/a", target="/a"), volume())
    found = [wanted(given, given.spec.container, {}) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0][0].own == OwnVolume(f"{ID}.1", "", owner=ID)


def test_a_volume_that_was_given_is_the_swarms() -> None:
    given = task(volume("data-{{.Task.Slot}}"), volume("group:db", "/b"))
    given.spec.container.mounts[1].type = Mount.TYPE_CLUSTER
    given.volumes.add(volume_id="v1", source="data-{{.Task.Slot}}", epoch=3)
    given.volumes.add(volume_id="v2", source="group:db", epoch=5)
    filled = specs_pb2.ContainerSpec()
    filled.CopyFrom(given.spec.container)
    filled.mounts[0].source = "data-1"
    assert [each.hold for each in wanted(given, filled, {})] == [Hold("v1", 3), Hold("v2", 5)]


@pytest.mark.parametrize(
    "mount",
    [
        Mount(type=Mount.TYPE_CLUSTER, source="data", target="/a"),
        volume("data", volume_id="v1"),
        volume("/srv/data"),
    ],
    ids=["cluster", "of the swarm", "a path"],
)
def test_what_is_refused(mount: Mount) -> None:
    given = task(mount)
    with pytest.raises(SwarmError) as refused:
        wanted(given, given.spec.container, {})
    assert refused.value.field.startswith("task.container.mounts[0]")


def test_the_image_declares_volumes_that_no_mount_covers() -> None:
    given = task(volume("data", "/data"))
    image: dict[str, Any] = {"config": {"Volumes": {"/data/": {}, "/cache": {}, "/": {}}}}
    found = wanted(given, given.spec.container, image)
    assert [(each.mount.target, each.own.owner if each.own else "") for each in found] == [
        ("/data", ""),
        ("/cache", ID),
    ]


def test_a_container_is_given_folders() -> None:
    given = task(
        Mount(type=Mount.TYPE_TMPFS, target="/tmp"),
        volume("a", "/a", read_only=True),
        volume("b", "/b", volume_no_copy=True),
        volume("c", "/c", volume_subpath="x"),
    )
    spec = given.spec.container
    found = [(v, Path("/v", v.own.name)) for v in wanted(given, spec, {}) if v.own]
    assert [(m.type, m.source, m.target, m.read_only) for m in settled(spec, found)] == [
        (Mount.TYPE_TMPFS, "", "/tmp", False),
        (Mount.TYPE_BIND, "/v/a", "/a", True),
        (Mount.TYPE_BIND, "/v/b", "/b", False),
        (Mount.TYPE_BIND, "/v/c", "/c", False),
    ]
    assert fills(found) == (Fill("/a", Path("/v/a")),)
