"""Messages from outside: what is refused whatever the field means, and by which path."""

from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from api import wellformed
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2

Spec = specs_pb2.ServiceSpec


def spec(fill: Callable[[Spec], object]) -> Spec:
    made = Spec()
    fill(made)
    return made


def raw(number: int, value: int) -> bytes:
    """A field of a varint, as the wire holds it: also what Python's setters would refuse."""
    made = bytearray([number << 3])
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


BAD: list[tuple[str, Callable[[Spec], object]]] = [
    (
        "task.container.image",
        lambda s: s.task.container.MergeFrom(specs_pb2.ContainerSpec(image="a\0")),
    ),
    ("task.container.args[1]", lambda s: s.task.container.args.extend(["a", "b\0c"])),
    ("task.container.command[0]", lambda s: s.task.container.command.append("\0")),
    ("task.container.labels", lambda s: s.task.container.labels.update({"a\0": "b"})),
    ("annotations.labels", lambda s: s.annotations.labels.update({"a": "b\0"})),
    (
        "task.container.mounts[1].target",
        lambda s: s.task.container.mounts.extend(
            [specs_pb2.Mount(target="/a"), specs_pb2.Mount(target="/\0")]
        ),
    ),
    ("task.restart.condition", lambda s: s.task.restart.MergeFromString(raw(1, 9))),
    ("update.order", lambda s: s.update.MergeFromString(raw(6, 2))),
    ("update.failure_action", lambda s: s.update.MergeFromString(raw(4, 2**64 - 1))),
    ("endpoint.mode", lambda s: s.endpoint.MergeFromString(raw(1, 2))),
    (
        "task.container.mounts[0].type",
        lambda s: s.task.container.mounts.add().MergeFromString(raw(1, 6)),
    ),
    ("endpoint.ports[0].protocol", lambda s: s.endpoint.ports.add().MergeFromString(raw(1, 3))),
    ("task.restart.delay", lambda s: s.task.restart.delay.MergeFrom(Duration(seconds=-1))),
    ("task.restart.window", lambda s: s.task.restart.window.MergeFrom(Duration(nanos=-1))),
    ("update.delay", lambda s: s.update.delay.MergeFrom(Duration(nanos=1_000_000_000))),
    ("update.monitor", lambda s: s.update.monitor.MergeFrom(Duration(seconds=2**62))),
    (
        "task.container.health.interval",
        lambda s: s.task.container.health.interval.MergeFrom(Duration(seconds=-1)),
    ),
]


@pytest.mark.parametrize(("field", "spoil"), BAD)
def test_what_is_unsound_is_refused_by_its_path(
    field: str, spoil: Callable[[Spec], object]
) -> None:
    with pytest.raises(SwarmError) as refused:
        wellformed.check(spec(spoil))
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


def test_what_is_sound_passes() -> None:
    made = Spec()
    made.annotations.labels["a"] = "ä\n"
    made.task.restart.delay.seconds = 5
    made.task.restart.condition = specs_pb2.RestartPolicy.CONDITION_NONE
    made.update.parallelism = 0
    made.task.container.mounts.add(type=specs_pb2.Mount.TYPE_IMAGE)
    wellformed.check(made)
    wellformed.check(Spec())
    wellformed.check(objects_pb2.Node(status=objects_pb2.NodeStatus(message="up")))


def test_what_is_too_large_is_refused_by_the_field_that_makes_it_so() -> None:
    made = spec(lambda s: s.task.container.args.append("x" * wellformed.SPEC_BYTES))
    made.task.container.env.append("A=1")
    with pytest.raises(SwarmError) as refused:
        wellformed.check(made)
    assert refused.value.field == "task.container.args"
    assert str(wellformed.SPEC_BYTES) in str(refused.value)
    wellformed.check(made, limit=2 * wellformed.SPEC_BYTES)
