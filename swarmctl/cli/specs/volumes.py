"""From the texts of `volume create` and `volume update` to what they mean. Pure; ValueError with
what to write instead. Docker's --scope and --sharing are two words for what is one here.
"""

from collections.abc import Iterable, Mapping

from api.v1 import specs_pb2
from api.volumes import ACCESS_WORDS, access_of
from swarmctl.cli.units import parse_bytes

Spec = specs_pb2.VolumeSpec
_ALL = Spec.SHARING_ALL
_Meaning = tuple[Spec.Access.ValueType, Spec.Sharing.ValueType]
_SCOPES: Mapping[str, Mapping[str, _Meaning]] = {
    "single": {
        "none": (Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_NONE),
        "readonly": (Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_READONLY),
        "onewriter": (Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_ONEWRITER),
        "all": (Spec.ACCESS_SINGLE_WRITER, _ALL),
    },
    "multi": {
        # One task at a time is on one node at a time.
        "none": (Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_NONE),
        "readonly": (Spec.ACCESS_MANY_READERS, _ALL),
        "all": (Spec.ACCESS_MANY_WRITERS, _ALL),
    },
}


def access(word: str, scope: str, sharing: str) -> _Meaning:
    """What --access says, or else --scope and --sharing together; nothing: the tasks of one node.

    Where one of the two is said, Docker's defaults hold for the other: single, and none.
    """
    if word and (scope or sharing):
        raise ValueError("give --access, or --scope and --sharing, but not both")
    if word:
        found = access_of(word)
        if found is None:
            raise ValueError(f"--access is one of {', '.join(ACCESS_WORDS)}, not {word!r}")
        return found, _ALL
    if not scope and not sharing:
        return Spec.ACCESS_SINGLE_WRITER, _ALL
    scope, sharing = scope or "single", sharing or "none"
    if scope not in _SCOPES:
        raise ValueError(f"--scope is single or multi, not {scope!r}")
    if sharing not in _SCOPES["single"]:
        raise ValueError(f"--sharing is none, readonly, onewriter or all, not {sharing!r}")
    meant = _SCOPES[scope].get(sharing)
    if meant is None:
        raise ValueError(
            f"--scope multi --sharing {sharing} cannot be held to: give readonly, where nobody "
            "writes, or all, where the driver's storage sees to order"
        )
    return meant


def availability(word: str) -> Spec.Availability.ValueType:
    """active, pause or drain."""
    return Spec.Availability.Value(f"AVAILABILITY_{word.upper()}")


def size(text: str) -> int:
    """Bytes; 0 where nothing is said."""
    return parse_bytes(text) if text else 0


def secrets(texts: Iterable[str]) -> list[specs_pb2.VolumeSecret]:
    """KEY=SECRET, as often as there are."""
    found = []
    for text in texts:
        key, equals, name = text.partition("=")
        if not equals or not key or not name:
            raise ValueError(f"--secret {text!r} is not of the form KEY=SECRET")
        found.append(specs_pb2.VolumeSecret(key=key, secret=name))
    return found


def topology(text: str) -> specs_pb2.VolumeTopology:
    """KEY=VALUE,KEY=VALUE: all of them together."""
    made = specs_pb2.VolumeTopology()
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise ValueError(f"{text!r} is not of the form KEY=VALUE,KEY=VALUE")
        made.segments[key] = value
    return made
