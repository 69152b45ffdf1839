"""From the texts of `volume create` and `volume update` to what they mean. Pure; ValueError with
what to write instead. Docker's --scope and --sharing are two words for what is one here.
"""

from collections.abc import Iterable, Mapping

from api.v1 import specs_pb2
from api.volumes import ACCESS_WORDS, access_of
from swarmctl.cli.units import parse_bytes

Spec = specs_pb2.VolumeSpec
_SCOPES: Mapping[str, Mapping[str, Spec.Access.ValueType]] = {
    "single": {
        "none": Spec.ACCESS_SINGLE_WRITER,
        "readonly": Spec.ACCESS_SINGLE_WRITER,
        "onewriter": Spec.ACCESS_SINGLE_WRITER,
        "all": Spec.ACCESS_SINGLE_WRITER,
    },
    "multi": {"readonly": Spec.ACCESS_MANY_READERS, "all": Spec.ACCESS_MANY_WRITERS},
}


def access(word: str, scope: str, sharing: str) -> Spec.Access.ValueType:
    """What --access says, or else --scope and --sharing together."""
    if word:
        if scope or sharing:
            raise ValueError("give --access, or --scope and --sharing, but not both")
        found = access_of(word)
        if found is None:
            raise ValueError(f"--access is one of {', '.join(ACCESS_WORDS)}, not {word!r}")
        return found
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
