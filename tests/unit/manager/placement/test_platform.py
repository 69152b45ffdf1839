import pytest

from api.v1 import specs_pb2
from api.v1.types_pb2 import Platform
from manager.placement.platform import fits, normalized, platforms_for

AMD64 = Platform(os="linux", architecture="amd64")
ARM64 = Platform(os="linux", architecture="arm64")


@pytest.mark.parametrize(
    ("wanted", "offered", "verdict"),
    [
        ([], AMD64, True),
        ([AMD64], AMD64, True),
        ([AMD64], ARM64, False),
        ([AMD64, ARM64], ARM64, True),
        ([Platform(os="linux", architecture="x86_64")], AMD64, True),
        ([AMD64], Platform(os="linux", architecture="x86_64"), True),
        ([ARM64], Platform(os="Linux", architecture="aarch64"), True),
        ([Platform(os="linux")], ARM64, True),
        ([Platform(architecture="arm64")], ARM64, True),
        ([Platform(os="windows")], AMD64, False),
        ([Platform(os="windows", architecture="amd64")], AMD64, False),
        ([Platform()], AMD64, True),
        ([AMD64], Platform(), False),
    ],
)
def test_fits(wanted: list[Platform], offered: Platform, verdict: bool) -> None:
    assert fits(iter(wanted), offered) is verdict


def test_normalized_folds_case_and_leaves_unknown_names() -> None:
    assert [normalized(a) for a in ("X86_64", "AARCH64", "riscv64", "")] == [
        "amd64",
        "arm64",
        "riscv64",
        "",
    ]


def test_what_the_user_said_goes_before_what_the_image_was_built_for() -> None:
    spec = specs_pb2.TaskSpec()
    assert list(platforms_for(spec)) == []
    spec.container.pinned_image.platforms.append(ARM64)
    assert list(platforms_for(spec)) == [ARM64]
    spec.placement.platforms.append(AMD64)
    assert list(platforms_for(spec)) == [AMD64]
