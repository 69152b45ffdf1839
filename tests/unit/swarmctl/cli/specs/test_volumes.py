"""From the words of `volume create` to what they mean."""

import pytest

from api.v1 import specs_pb2
from swarmctl.cli.specs import volumes

Spec = specs_pb2.VolumeSpec


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("", "", ""), Spec.ACCESS_SINGLE_WRITER),
        (("many-writers", "", ""), Spec.ACCESS_MANY_WRITERS),
        (("", "single", "all"), Spec.ACCESS_SINGLE_WRITER),
        (("", "multi", "readonly"), Spec.ACCESS_MANY_READERS),
        (("", "multi", "all"), Spec.ACCESS_MANY_WRITERS),
    ],
)
def test_access(words: tuple[str, str, str], meant: int) -> None:
    assert volumes.access(*words) == meant


@pytest.mark.parametrize(
    "words",
    [
        ("some", "", ""),
        ("many-readers", "multi", ""),
        ("", "wide", ""),
        ("", "single", "some"),
        ("", "multi", "onewriter"),
        ("", "multi", ""),
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
