"""Which platform's image serves which host."""

import pytest

from api.v1 import types_pb2
from runtime.image import platforms
from runtime.image.platforms import Platform, choose, normalise, wanted


def of(text: str) -> Platform | None:
    if not text:
        return None
    os, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return normalise(os, architecture, variant)


CHOICES = [
    # wanted, offered, chosen
    ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
    ("linux/x86_64", ["linux/amd64"], 0),
    ("linux/amd64", ["windows/amd64", "linux/amd64"], 1),
    ("linux/amd64", ["linux/amd64/v3"], None),
    ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
    ("linux/amd64", ["linux/386"], 0),
    ("linux/amd64", ["linux/386", "linux/amd64"], 1),
    ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
    ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
    ("linux/aarch64", ["linux/arm/v6", "linux/arm/v7"], 1),
    ("linux/arm", ["linux/arm/v5", "linux/arm/v6"], 1),
    ("linux/arm/v7", ["linux/arm/v8", "linux/arm"], 1),
    ("linux/armhf", ["linux/arm/v6", "linux/arm/v7"], 1),
    ("linux/arm/v6", ["linux/arm/v7"], None),
    ("linux/amd64", ["unknown/unknown", "linux/amd64"], 1),
    ("linux/amd64", ["unknown/unknown"], None),
    ("linux/riscv64", ["linux/riscv64", "linux/amd64"], 0),
    ("linux/amd64", [""], 0),
    ("linux/amd64", ["", ""], None),
    ("linux/amd64", [], None),
]


@pytest.mark.parametrize(("want", "offered", "chosen"), CHOICES)
def test_the_best_image_is_chosen(want: str, offered: list[str], chosen: int | None) -> None:
    wished = of(want)
    assert wished is not None
    assert choose([of(each) for each in offered], wished) == chosen


def test_what_a_request_leaves_open_is_this_hosts() -> None:
    own = platforms.host()
    assert wanted(None) == wanted(types_pb2.Platform()) == own
    assert wanted(types_pb2.Platform(os="linux")) == own
    assert wanted(types_pb2.Platform(architecture="aarch64")) == Platform("linux", "arm64")
    assert wanted(types_pb2.Platform(os="linux", architecture="arm/v6")).variant == "v6"


def test_a_platform_reads_as_in_docker() -> None:
    assert str(normalise("linux", "arm", "7")) == "linux/arm/v7"
    assert str(normalise("", "x86-64")) == "linux/amd64"
