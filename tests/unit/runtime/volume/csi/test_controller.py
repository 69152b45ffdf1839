"""The controller's part, with a real CSI driver in a process of its own."""

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

import pytest

from api.errors import Code, SwarmError
from runtime.volume.controller import ControllerCapabilities, Made, NewVolume
from runtime.volume.csi.controller import CsiController
from runtime.volume.csi.endpoint import Endpoint, Timeouts
from runtime.volume.driver import Access, Volume
from tests.support.csi_process import NAME, CsiProcess

T = TypeVar("T")
NAMES = (f"c{number}" for number in count())
MIB = 1 << 20


@pytest.fixture
def controller(csi: CsiProcess) -> CsiController:
    return CsiController(Endpoint(NAME, csi.socket))


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def failure(call: Coroutine[Any, Any, object]) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        asyncio.run(call)
    assert NAME in caught.value.what
    return caught.value


def volume_of(new: NewVolume, made: Made) -> Volume:
    return Volume(new.name, new.options, handle=made.handle, context=made.context)


def test_what_it_can_is_what_the_driver_says(controller: CsiController, csi: CsiProcess) -> None:
    assert run(controller.capabilities()) == ControllerCapabilities(True, True, True, True)
    csi.order(without=("PUBLISH_UNPUBLISH_VOLUME", "LIST_VOLUMES", "GET_CAPACITY"))
    assert run(controller.capabilities()) == ControllerCapabilities(makes=True)


def test_everything_that_is_asked_of_a_new_volume_reaches_the_driver(
    controller: CsiController, csi: CsiProcess
) -> None:
    new = NewVolume(
        next(NAMES),
        {"tier": "fast", "csi.fs-type": "xfs"},
        Access.MANY_WRITERS,
        required_bytes=MIB,
        limit_bytes=2 * MIB,
        required=({"zone": "a"}, {"zone": "b"}),
        preferred=({"zone": "b"},),
        secrets={"user": b"swarm"},
    )
    handle = f"vol-{new.name}"
    expected = Made(handle, {"made-by": "test"}, MIB, ({"zone": "a"},))
    assert run(controller.create(new)) == expected
    assert run(controller.create(new)) == expected, "asked again it is the same volume"
    (_, asked), _ = csi.asked("CreateVolume")
    assert asked == {
        "name": new.name,
        "capacityRange": {"requiredBytes": str(MIB), "limitBytes": str(2 * MIB)},
        "volumeCapabilities": [
            {"mount": {"fsType": "xfs"}, "accessMode": {"mode": "MULTI_NODE_MULTI_WRITER"}}
        ],
        "parameters": {"tier": "fast"},
        "secrets": {"user": "swarm"},
        "accessibilityRequirements": {
            "requisite": [{"segments": {"zone": "a"}}, {"segments": {"zone": "b"}}],
            "preferred": [{"segments": {"zone": "b"}}],
        },
    }


def test_another_volume_of_the_name_is_refused(controller: CsiController) -> None:
    new = NewVolume(next(NAMES))
    run(controller.create(new))
    assert failure(controller.create(NewVolume(new.name, {"tier": "slow"}))).code is Code.INVALID


def test_a_volume_is_opened_to_one_node_until_it_is_closed(
    controller: CsiController, csi: CsiProcess
) -> None:
    new = NewVolume(next(NAMES))
    volume = volume_of(new, run(controller.create(new)))
    for _ in range(2):
        assert run(controller.publish(volume, "n1")) == {"opened-to": "n1"}
    refused = failure(controller.publish(volume, "n2"))
    assert refused.code is Code.REFUSED
    assert "n1 has it" in refused.why
    assert failure(controller.delete(volume.handle, {})).code is Code.REFUSED
    for _ in range(2):
        run(controller.unpublish(volume, "n1"))
    run(controller.publish(volume, "n2"))
    run(controller.fence(volume, "n2"))
    assert csi.open_to(volume.handle) == []
    for _ in range(2):
        run(controller.delete(volume.handle, {}))


def test_a_fence_names_its_node(controller: CsiController, csi: CsiProcess) -> None:
    """Without a node CSI closes the volume to all of them."""
    new = NewVolume(next(NAMES))
    volume = volume_of(new, run(controller.create(new)))
    assert failure(controller.fence(volume, "")).code is Code.UNSUPPORTED
    assert "ControllerUnpublishVolume" not in csi.calls()


def test_a_volume_that_the_driver_does_not_know_is_not_taken_for_closed(
    controller: CsiController,
) -> None:
    gone = Volume("gone", handle="vol-gone")
    assert failure(controller.unpublish(gone, "n1")).code is Code.NOT_FOUND
    assert failure(controller.fence(gone, "n1")).code is Code.NOT_FOUND


def test_a_driver_whose_volumes_are_open_to_all_opens_and_fences_none(
    controller: CsiController, csi: CsiProcess
) -> None:
    csi.order(without=("PUBLISH_UNPUBLISH_VOLUME",))
    new = NewVolume(next(NAMES))
    volume = volume_of(new, run(controller.create(new)))
    assert run(controller.publish(volume, "n1")) == {}
    run(controller.unpublish(volume, "n1"))
    assert failure(controller.fence(volume, "n1")).code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("without", "call"),
    [
        ("CREATE_DELETE_VOLUME", lambda c: c.create(NewVolume("x"))),
        ("CREATE_DELETE_VOLUME", lambda c: c.delete("x", {})),
        ("TOPOLOGY", lambda c: c.create(NewVolume("x", required=({"zone": "a"},)))),
        ("GET_CAPACITY", lambda c: c.capacity(NewVolume("x"), {})),
        ("LIST_VOLUMES", lambda c: c.list()),
    ],
)
def test_what_it_has_no_capability_for_is_not_tried(
    controller: CsiController, csi: CsiProcess, without: str, call: Any
) -> None:
    csi.order(without=(without,))
    assert failure(call(controller)).code is Code.UNSUPPORTED
    assert csi.calls() == []


@pytest.mark.parametrize("capacity", [MIB - 1, 3 * MIB])
def test_a_volume_of_a_wrong_size_is_deleted_again(
    controller: CsiController, csi: CsiProcess, capacity: int
) -> None:
    answer = {"volume": {"volumeId": "wrong", "capacityBytes": capacity}}
    csi.order({"CreateVolume": {"answer": answer}})
    new = NewVolume("wrong", required_bytes=MIB, limit_bytes=2 * MIB)
    assert f"{capacity} bytes" in failure(controller.create(new)).why
    assert csi.asked("DeleteVolume") == [("DeleteVolume", {"volumeId": "wrong"})]


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({}, "tells no volume_id"),
        ({"volumeId": "x", "capacityBytes": -1}, "below nothing"),
        ({"volumeId": "x" * 2000}, "too long"),
        ({"volumeId": "x\n"}, "no text"),
        ({"volumeId": "x", "volumeContext": {"a": "b" * 20_000}}, "16384"),
        ({"volumeId": "x", "accessibleTopology": [{}] * 300}, "256 places"),
    ],
)
def test_a_lie_about_a_new_volume_is_named(
    controller: CsiController, csi: CsiProcess, volume: dict[str, Any], why: str
) -> None:
    csi.order({"CreateVolume": {"answer": {"volume": volume}}})
    error = failure(controller.create(NewVolume("x")))
    assert error.code is Code.UNAVAILABLE
    assert why in error.why


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("OUT_OF_RANGE", Code.INVALID),
        ("RESOURCE_EXHAUSTED", Code.EXHAUSTED),
        ("PERMISSION_DENIED", Code.DENIED),
        ("UNIMPLEMENTED", Code.UNSUPPORTED),
    ],
)
def test_a_status_is_told_with_its_remedy(
    controller: CsiController, csi: CsiProcess, status: str, code: Code
) -> None:
    csi.order({"CreateVolume": {"code": status, "why": "since I say so"}})
    error = failure(controller.create(NewVolume("x", secrets={"password": b"hidden"})))
    assert error.code is code
    assert "since I say so" in error.why
    assert error.remedy
    assert "hidden" not in str(error)


def test_an_operation_that_is_pending_is_waited_for(
    controller: CsiController, csi: CsiProcess
) -> None:
    csi.order({"CreateVolume": {"code": "ABORTED", "times": 1}})
    run(controller.create(NewVolume(next(NAMES))))
    assert len(csi.asked("CreateVolume")) == 2


def test_a_controller_that_hangs_is_given_up(csi: CsiProcess) -> None:
    csi.order({"CreateVolume": {"hang": True}})
    hasty = CsiController(Endpoint(NAME, csi.socket, Timeouts(controller=0.3)))
    assert failure(hasty.create(NewVolume("x"))).code is Code.DEADLINE


@pytest.mark.parametrize("late", [False, True])
def test_a_volume_whose_making_crashed_is_made_once(
    controller: CsiController, csi: CsiProcess, late: bool
) -> None:
    new = NewVolume(next(NAMES))
    csi.order({"CreateVolume": {"crash": True, "late": late}})
    assert failure(controller.create(new)).code is Code.UNAVAILABLE
    csi.order()
    csi.start()
    assert run(controller.create(new)).handle == f"vol-{new.name}"


def test_no_driver_is_waited_for_that_is_not_there(csi: CsiProcess) -> None:
    csi.kill()
    error = failure(CsiController(Endpoint(NAME, csi.socket)).capabilities())
    assert error.code is Code.UNAVAILABLE
    assert error.remedy == "start the driver"


def test_all_pages_are_listed(controller: CsiController) -> None:
    async def five() -> None:
        news = [NewVolume(f"listed{number}") for number in range(5)]
        volumes = [volume_of(new, await controller.create(new)) for new in news]
        await controller.publish(volumes[0], "n1")
        found = {each.made.handle: each for each in await controller.list()}
        assert {volume.handle for volume in volumes} <= set(found)
        assert found["vol-listed0"].host_ids == ("n1",)

    asyncio.run(five())


@pytest.mark.parametrize("entries", [[], [{"volume": {"volumeId": "x"}}]])
def test_a_list_that_never_ends_is_a_lie(
    controller: CsiController, csi: CsiProcess, entries: list[Any]
) -> None:
    many = entries * 3000
    csi.order({"ListVolumes": {"answer": {"entries": many, "nextToken": "again"}}})
    assert "does not end" in failure(controller.list()).why


def test_capacity_is_asked_for_a_place(controller: CsiController, csi: CsiProcess) -> None:
    assert run(controller.capacity(NewVolume("x"), {"zone": "a"})) == 1 << 30
    ((_, asked),) = csi.asked("GetCapacity")
    assert asked["accessibleTopology"] == {"segments": {"zone": "a"}}


def test_what_is_not_confirmed_is_not_usable(controller: CsiController, csi: CsiProcess) -> None:
    new = NewVolume(next(NAMES))
    volume = volume_of(new, run(controller.create(new)))
    assert run(controller.validate(volume)) == ""
    csi.order({"ValidateVolumeCapabilities": {"answer": {"message": "no such mode"}}})
    assert run(controller.validate(volume)) == "no such mode"
    csi.order({"ValidateVolumeCapabilities": {"answer": {"confirmed": {}}}})
    assert run(controller.validate(volume)) == "the driver does not confirm it"
