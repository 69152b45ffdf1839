"""Fields of specs that have no effect yet. They are refused, never ignored. Pure.

A field leaves this table in the change that gives it its effect.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from api.errors import Code, SwarmError
from api.networks import BUILTIN
from api.v1 import specs_pb2

Spec = specs_pb2.ServiceSpec
Mount = specs_pb2.Mount


@dataclass(frozen=True, slots=True)
class NotYet:
    """One field: whether a spec sets it, its path, the flag that users know, and why it waits."""

    path: str
    flag: str
    why: str
    is_set: Callable[[Spec], object]


_TABLE: tuple[NotYet, ...] = (
    NotYet(
        "task.networks.aliases",
        "--network alias=",
        "in network none or host, and on a node's default bridge, nobody is found by name",
        lambda s: any(n.aliases and n.target in BUILTIN for n in s.task.networks),
    ),
    NotYet(
        "task.networks.driver_options",
        "--network driver-opt=",
        "no driver has options for a task",
        lambda s: any(n.driver_options for n in s.task.networks),
    ),
    NotYet(
        "task.log_driver.name",
        "--log-driver",
        "only the driver local is built yet",
        lambda s: s.task.log_driver.name not in ("", "local"),
    ),
    NotYet(
        "task.log_driver.options",
        "--log-opt",
        "log options are not built yet",
        lambda s: s.task.log_driver.options,
    ),
    NotYet(
        "task.container.isolation",
        "--isolation",
        "it is for Windows containers, and nodes run Linux",
        lambda s: s.task.container.isolation not in ("", "default"),
    ),
    NotYet(
        "task.container.privileges.credential_spec",
        "--credential-spec",
        "it is for Windows containers, and nodes run Linux",
        lambda s: s.task.container.privileges.credential_spec,
    ),
    NotYet(
        "task.container.privileges.apparmor_profile",
        "",
        "AppArmor profiles are not applied yet",
        lambda s: s.task.container.privileges.apparmor_profile,
    ),
    NotYet(
        "task.container.privileges.selinux_label",
        "",
        "SELinux labels are not applied yet",
        lambda s: s.task.container.privileges.selinux_label,
    ),
)

# Consistency is for Docker's virtual machine on macOS: as on any Linux there, it changes nothing.
_ALWAYS = {"type", "target", "read_only", "consistency"}
_CLUSTER = {"source", "volume_id", "volume_subpath", "volume_no_copy"}
_MOUNT_FIELDS = {
    Mount.TYPE_BIND: _ALWAYS
    | {"source", "bind_propagation", "bind_recursive", "bind_create_source"},
    Mount.TYPE_IMAGE: _ALWAYS | {"source", "image_subpath"},
    Mount.TYPE_TMPFS: _ALWAYS | {"tmpfs_size_bytes", "tmpfs_mode"},
    Mount.TYPE_CLUSTER: _ALWAYS | _CLUSTER,
    Mount.TYPE_VOLUME: _ALWAYS | _CLUSTER | {"volume_labels", "volume_driver", "volume_options"},
}
_NO_MOUNTS = {
    Mount.TYPE_NPIPE: "named pipes are of Windows, and nodes run Linux",
}


def refuse_not_yet(spec: Spec) -> None:
    """Refuses a spec that sets a field without effect: UNSUPPORTED, with the field and why."""
    for row in _TABLE:
        if row.is_set(spec):
            raise _refusal(row.path, row.flag, row.why)
    for path, why in _mounts(spec.task.container.mounts):
        raise _refusal(path, "--mount", why)


def _mounts(mounts: Iterable[Mount]) -> Iterator[tuple[str, str]]:
    for index, mount in enumerate(mounts):
        path = f"task.container.mounts[{index}]"
        if mount.type in _NO_MOUNTS:
            yield f"{path}.type", _NO_MOUNTS[mount.type]
            continue
        for field, _ in mount.ListFields():
            if field.name not in _MOUNT_FIELDS[mount.type]:
                yield f"{path}.{field.name}", "this key has no effect on this type of mount"


def _refusal(path: str, flag: str, why: str) -> SwarmError:
    what = f"{flag} is not supported yet" if flag else "not supported yet"
    return SwarmError(Code.UNSUPPORTED, what, why=why, remedy="leave it out", field=path)
