"""What the events of volumes tell: who comes to hold one, and who lets go of it."""

from collections.abc import Mapping, Sequence

from api.v1 import objects_pb2, specs_pb2
from manager.events.steps import Attributes, Step, Words, changed

HOLD, RELEASING, RELEASE, UPDATE = "hold", "releasing", "release", "update"
FENCE, REMOVING = "fence", "removing"
_HELD = ("node.id", "epoch")
TOLD: Mapping[str, tuple[str, ...]] = {
    UPDATE: ("availability.old", "availability.new"),
    HOLD: _HELD,
    RELEASING: _HELD,
    RELEASE: _HELD,
    FENCE: _HELD,
    REMOVING: (),
}
_AVAILABILITIES = Words(dict(specs_pb2.VolumeSpec.Availability.items()), "AVAILABILITY_")
_CHANGES = {
    objects_pb2.VolumeHolder.STATE_RELEASING: RELEASING,
    objects_pb2.VolumeHolder.STATE_FENCED: FENCE,
}

_Key = tuple[str, int]


def updates(old: objects_pb2.Volume, new: objects_pb2.Volume) -> Sequence[Step]:
    """An event for each node that came to hold it, is to let go or has, and one for its spec."""
    before, after = _holders(old), _holders(new)
    steps = [Step(RELEASE, _told(key)) for key in before if key not in after]
    for key, state in after.items():
        if key not in before:
            steps.append(Step(HOLD, _told(key)))
        elif state != before[key] and state in _CHANGES:
            steps.append(Step(_CHANGES[state], _told(key)))
    if new.removing and not old.removing:
        steps.append(Step(REMOVING, {}))
    if old.spec != new.spec:
        was, now = (_AVAILABILITIES[each.spec.availability] for each in (old, new))
        steps.append(Step(UPDATE, changed("availability", was, now)))
    return steps


def _holders(
    volume: objects_pb2.Volume,
) -> dict[_Key, objects_pb2.VolumeHolder.State.ValueType]:
    return {(each.node_id, each.epoch): each.state for each in volume.holders}


def _told(key: _Key) -> Attributes:
    return {"node.id": key[0], "epoch": f"{key[1]}"}
