"""How a volume is to be used, in the words of CSI. Pure.

Two options are ours and not the driver's: `csi.fs-type`, and `csi.mount-flags` with commas between.
"""

from collections.abc import Mapping

from api.errors import invalid
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.driver import Access

FS_TYPE = "csi.fs-type"
MOUNT_FLAGS = "csi.mount-flags"
_FLAGS_LIMIT = 4096

Mode = csi_pb2.VolumeCapability.AccessMode


def parameters(options: Mapping[str, str]) -> dict[str, str]:
    """The options that are the driver's."""
    return {key: value for key, value in options.items() if key not in (FS_TYPE, MOUNT_FLAGS)}


def wanted(
    access: Access, options: Mapping[str, str], *, block: bool, shares_node: bool
) -> csi_pb2.VolumeCapability:
    """What is asked of the driver. `shares_node`: it has the capability SINGLE_NODE_MULTI_WRITER,
    and takes the access mode that says that several containers of one node may write.
    """
    mode = Mode(mode=_mode(access, shares_node))
    if block:
        if options.get(FS_TYPE) or options.get(MOUNT_FLAGS):
            raise invalid("driver_options", "a block device has no file system, and no flags")
        return csi_pb2.VolumeCapability(
            block=csi_pb2.VolumeCapability.BlockVolume(), access_mode=mode
        )
    flags = options.get(MOUNT_FLAGS, "")
    if len(flags) > _FLAGS_LIMIT:
        raise invalid("driver_options", f"{MOUNT_FLAGS} has more than {_FLAGS_LIMIT} characters")
    mount = csi_pb2.VolumeCapability.MountVolume(
        fs_type=options.get(FS_TYPE, ""),
        mount_flags=[flag for flag in flags.split(",") if flag],
    )
    return csi_pb2.VolumeCapability(mount=mount, access_mode=mode)


def _mode(access: Access, shares_node: bool) -> csi_pb2.VolumeCapability.AccessMode.Mode.ValueType:
    if access is Access.MANY_READERS:
        return Mode.MULTI_NODE_READER_ONLY
    if access is Access.MANY_WRITERS:
        return Mode.MULTI_NODE_MULTI_WRITER
    return Mode.SINGLE_NODE_MULTI_WRITER if shares_node else Mode.SINGLE_NODE_WRITER


def texts(secrets: Mapping[str, bytes]) -> dict[str, str]:
    """Secrets as CSI hands them over: as text."""
    try:
        return {key: value.decode() for key, value in secrets.items()}
    except UnicodeDecodeError:
        raise invalid(
            "secrets", "CSI takes text alone, and a secret of the volume is none"
        ) from None
