import pytest

from api.errors import SwarmError
from runtime.volume.csi import capability
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.driver import Access

Mode = csi_pb2.VolumeCapability.AccessMode


@pytest.mark.parametrize(
    ("access", "shares_node", "mode"),
    [
        (Access.SINGLE_WRITER, False, Mode.SINGLE_NODE_WRITER),
        (Access.SINGLE_WRITER, True, Mode.SINGLE_NODE_MULTI_WRITER),
        (Access.MANY_READERS, False, Mode.MULTI_NODE_READER_ONLY),
        (Access.MANY_READERS, True, Mode.MULTI_NODE_READER_ONLY),
        (Access.MANY_WRITERS, False, Mode.MULTI_NODE_MULTI_WRITER),
        (Access.MANY_WRITERS, True, Mode.MULTI_NODE_MULTI_WRITER),
    ],
)
@pytest.mark.parametrize("block", [False, True])
def test_each_access_has_its_mode(
    access: Access,
    shares_node: bool,
    mode: csi_pb2.VolumeCapability.AccessMode.Mode.ValueType,
    block: bool,
) -> None:
    asked = capability.wanted(access, {}, block=block, shares_node=shares_node)
    assert asked.access_mode.mode == mode
    assert asked.WhichOneof("access_type") == ("block" if block else "mount")


def test_options_of_ours_are_not_the_drivers() -> None:
    options = {"csi.fs-type": "xfs", "csi.mount-flags": "ro,,noatime", "tier": "fast"}
    asked = capability.wanted(Access.SINGLE_WRITER, options, block=False, shares_node=False)
    assert asked.mount.fs_type == "xfs"
    assert list(asked.mount.mount_flags) == ["ro", "noatime"]
    assert capability.parameters(options) == {"tier": "fast"}


@pytest.mark.parametrize(
    ("options", "block"),
    [
        ({"csi.fs-type": "xfs"}, True),
        ({"csi.mount-flags": "ro"}, True),
        ({"csi.mount-flags": "x" * 5000}, False),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, str], block: bool) -> None:
    with pytest.raises(SwarmError):
        capability.wanted(Access.SINGLE_WRITER, options, block=block, shares_node=False)
