"""What can be asked for of a container that is no task, and how it looks in a task's clothes."""

from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import containers_pb2, specs_pb2
from worker.standalone import specs
from worker.standalone.clothes import dressed, find, mode_of, shares
from worker.task_place import Place, holds_place, is_lone, place_of

Spec = containers_pb2.StandaloneSpec
ID = "c" * 25


def spec(*networks: str, **fields: Any) -> Spec:
    made = Spec(**fields)
    made.annotations.name = "box"
    made.container.image = "app:1"
    for network in networks:
        made.networks.add(target=network)
    return made


def made(asked: Spec) -> containers_pb2.Container:
    return specs.made(asked, ID, timestamp(7))


def a_port() -> specs_pb2.PortConfig:
    return specs_pb2.PortConfig(target_port=80, mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST)


def test_defaults() -> None:
    asked = spec()
    asked.annotations.name = ""
    container = made(asked)
    assert container.spec.annotations.name == ID
    assert container.spec.container.hostname == ID[:12]
    assert [each.name for each in container.networks] == ["bridge"]
    assert not asked.networks


@pytest.mark.parametrize("mode", ["none", "host", "container:other"])
def test_modes_that_are_no_networks(mode: str) -> None:
    container = made(spec(mode))
    assert mode_of(container.spec) == mode
    assert not container.networks
    assert place_of(dressed(container)) is None
    with pytest.raises(SwarmError, match=f"made with network {mode}"):
        specs.refuse_connecting(container, specs_pb2.NetworkAttachmentSpec(target="front"))


def attached(target: str, **fields: Any) -> Spec:
    asked = spec()
    asked.networks.add(target=target, **fields)
    return asked


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Spec(), "image is needed"),
        (spec("host", "front"), "goes with no other"),
        (spec("none", ports=[a_port()]), "goes with no other"),
        (spec("front", "front"), "given twice"),
        (spec(""), "network's name is needed"),
        (attached("front", addresses=["x"]), "no IP address"),
        (attached("front", driver_options={"a": "b"}), "no driver has options"),
        (attached("bridge", aliases=["a"]), "nobody has a name"),
        (attached("host", aliases=["a"]), "no ports, names or addresses"),
        (spec(ports=[specs_pb2.PortConfig(target_port=80)]), "its own host alone"),
        (spec(ports=[specs_pb2.PortConfig(published_port=80)]), "target port is needed"),
    ],
)
def test_what_is_refused(asked: Spec, words: str) -> None:
    with pytest.raises(SwarmError, match=words):
        made(asked)


@pytest.mark.parametrize("field", ["secrets", "configs", "health"])
def test_what_only_tasks_have(field: str) -> None:
    asked = spec()
    if field == "health":
        asked.container.health.test.extend(["CMD", "true"])
    else:
        getattr(asked.container, field).add(source="password", target="/password")
    with pytest.raises(SwarmError) as caught:
        made(asked)
    assert (caught.value.code, caught.value.field) == (Code.UNSUPPORTED, f"container.{field}")


def test_a_login_is_not_kept() -> None:
    asked = spec()
    asked.container.registry_auth = "secret"
    assert not made(asked).spec.container.registry_auth


def test_in_the_clothes_of_a_task() -> None:
    container = made(spec("front", "back", ports=[a_port()]))
    front, back = container.networks
    front.network_id, back.network_id, back.attachment_id = "f", "b", "place"
    container.ports.extend(container.spec.ports)
    container.ports[0].published_port = 8080
    task = dressed(container)
    assert (is_lone(task), holds_place(task)) == (True, False)
    place = place_of(task)
    assert place == Place(
        ID, ("f", "b"), tuple(container.ports), lone=True, attachments=(("b", "place"),)
    )
    assert [place.endpoint(network_id) for network_id in place.networks] == [ID, "place"]
    del container.networks[:], container.ports[:]
    assert place_of(dressed(container)) == Place(ID, (), lone=True)


def test_connecting_twice_is_refused() -> None:
    container = made(spec("front"))
    again = specs_pb2.NetworkAttachmentSpec(target="front")
    with pytest.raises(SwarmError, match="connected to network front already"):
        specs.refuse_connecting(container, again)
    with pytest.raises(SwarmError, match="no network to connect to"):
        specs.refuse_connecting(container, specs_pb2.NetworkAttachmentSpec(target="host"))


def test_who_is_meant() -> None:
    one, two = made(spec()), made(spec("container:box"))
    two.id, two.spec.annotations.name = "cd", "two"
    known = [one, two]
    for key, expected in (("box", one), (ID, one), ("two", two), ("ccc", one), ("c", None)):
        assert find(known, key) == expected, key
    assert shares(two, known) == one
    assert shares(one, known) is None
