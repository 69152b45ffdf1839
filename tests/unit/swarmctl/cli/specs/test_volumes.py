"""From the words of `volume create` to what they mean."""

import pytest

from api.v1 import specs_pb2
from swarmctl.cli.specs import volumes

Spec = specs_pb2.VolumeSpec


@pytest.mark.parametrize(
    ("words", "access", "sharing"),
    [
        (("", "", ""), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_ALL),
        (("many-writers", "", ""), Spec.ACCESS_MANY_WRITERS, Spec.SHARING_ALL),
        (("", "single", ""), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_NONE),
        (("", "", "none"), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_NONE),
        (("", "", "onewriter"), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_ONEWRITER),
        (("", "single", "readonly"), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_READONLY),
        (("", "single", "all"), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_ALL),
        (("", "multi", ""), Spec.ACCESS_SINGLE_WRITER, Spec.SHARING_NONE),
        (("", "multi", "readonly"), Spec.ACCESS_MANY_READERS, Spec.SHARING_ALL),
        (("", "multi", "all"), Spec.ACCESS_MANY_WRITERS, Spec.SHARING_ALL),
    ],
)
def test_access(words: tuple[str, str, str], access: int, sharing: int) -> None:
    found = volumes.access(*words)
    assert (int(found[0]), int(found[1])) == (access, sharing)


@pytest.mark.parametrize(
    "words",
    [
        ("some", "", ""),
        ("many-readers", "multi", ""),
        ("", "wide", ""),
        ("", "single", "some"),
        ("", "multi", "onewriter"),
    ],
)
def test_access_that_is_none(words: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"--access|--scope|--sharing"):
        volumes.access(*words)


def test_the_rest() -> None:
    assert volumes.size("") == 0
    assert volumes.size("1g") == 1 << 30
    (given,) = volumes.secrets(["a=b"])
    assert (given.key, given.secret) == ("a", "b")
    assert dict(volumes.topology("zone=a,rack=1").segments) == {"zone": "a", "rack": "1"}
    assert volumes.availability("drain") == Spec.AVAILABILITY_DRAIN
    for broken in ("a", "=b", "a="):
        with pytest.raises(ValueError, match="KEY=SECRET"):
            volumes.secrets([broken])
    with pytest.raises(ValueError, match="KEY=VALUE"):
        volumes.topology("zone")
