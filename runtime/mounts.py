"""The mounts of a container: the kernel's file systems, our files in /etc, the spec's. Pure."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from api.errors import Code, SwarmError, invalid
from api.v1 import specs_pb2

Mount = dict[str, Any]

INIT_PATH = "/sbin/docker-init"
"""Where Docker has the first process of containers with --init."""
_TMPFS_MODE = 0o1777
_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_RECURSIVE = ("", "enabled", "disabled", "writable", "readonly")

_KERNEL: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ("nosuid", "noexec", "nodev", "relatime", "ro")),
    ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=67108864")),  # noqa: S108
)


def build(
    spec: specs_pb2.ContainerSpec, etc: Mapping[str, Path], beside: Mapping[str, Path]
) -> list[Mount]:
    """All mounts, parents before children; `etc`: file in the container -> ours on the host;
    `beside`: place in the container -> what is mounted for it.

    A mount of the spec at the place of one of ours takes it over, and one at /etc lies below our
    files, as in Docker.
    """
    wanted = [_translate(mount, index, beside) for index, mount in enumerate(spec.mounts)]
    _refuse_twice(wanted)
    taken = {mount["destination"] for mount in wanted}
    kernel = [
        {"destination": target, "type": kind, "source": source, "options": list(options)}
        for target, kind, source, options in _KERNEL
        if target not in taken
    ]
    access = "ro" if spec.read_only else "rw"
    files = [
        {
            "destination": target,
            "type": "bind",
            "source": str(source),
            "options": ["rbind", "rprivate", access],
        }
        for target, source in etc.items()
        if target not in taken
    ]
    return kernel + sorted(files + wanted, key=_depth)


def _depth(mount: Mount) -> int:
    return len(PurePosixPath(mount["destination"]).parts)


def init(program: Path) -> Mount:
    """The init program of the host, in the container."""
    options = ["bind", "rprivate", "ro"]
    return {"destination": INIT_PATH, "type": "bind", "source": str(program), "options": options}


def binds_to_check(spec: specs_pb2.ContainerSpec) -> list[tuple[str, Path, bool]]:
    """Of each bind mount the field's path, the source, and whether it is to be made if missing."""
    return [
        (f"container.mounts[{index}].source", Path(mount.source), mount.bind_create_source)
        for index, mount in enumerate(spec.mounts)
        if mount.type == specs_pb2.Mount.TYPE_BIND
    ]


def root_propagation(mounts: Sequence[Mount]) -> str | None:
    """`linux.rootfsPropagation`: mounts pass through only if the root lets them; None: private."""
    options = {option for mount in mounts for option in mount["options"]}
    if options & {"shared", "rshared"}:
        return "shared"
    if options & {"slave", "rslave"}:
        return "slave"
    return None


def _refuse_twice(mounts: Sequence[Mount]) -> None:
    seen = set()
    for index, mount in enumerate(mounts):
        target = mount["destination"]
        if target in seen:
            raise invalid(f"container.mounts[{index}].target", f"{target} is mounted twice")
        seen.add(target)


def _translate(mount: specs_pb2.Mount, index: int, beside: Mapping[str, Path]) -> Mount:
    field = f"container.mounts[{index}]"
    target = PurePosixPath(mount.target)
    if not target.is_absolute() or ".." in target.parts or target == PurePosixPath("/"):
        raise invalid(
            f"{field}.target", f"{mount.target!r} is no absolute path below the root directory"
        )
    if mount.type == specs_pb2.Mount.TYPE_BIND:
        return _bind(mount, str(target), field, beside.get(mount.target))
    if mount.type == specs_pb2.Mount.TYPE_TMPFS:
        return _tmpfs(mount, str(target))
    if mount.type == specs_pb2.Mount.TYPE_IMAGE and mount.target in beside:
        source, options = str(beside[mount.target]), ["rbind", "rprivate", "ro"]
        return {"destination": str(target), "type": "bind", "source": source, "options": options}
    kind = specs_pb2.Mount.Type.Name(mount.type).removeprefix("TYPE_").lower()
    raise SwarmError(
        Code.UNSUPPORTED,
        f"mounts of type {kind} are not made by the container runtime",
        why="it only binds directories that exist on this host",
        field=f"{field}.type",
    )


def _bind(mount: specs_pb2.Mount, target: str, field: str, beside: Path | None) -> Mount:
    if not mount.source.startswith("/"):
        raise invalid(f"{field}.source", f"{mount.source!r} is no absolute path")
    propagation = mount.bind_propagation or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise invalid(f"{field}.bind_propagation", f"unknown propagation {propagation!r}")
    if mount.bind_recursive not in _RECURSIVE:
        raise invalid(f"{field}.bind_recursive", f"unknown value {mount.bind_recursive!r}")
    options = ["bind" if mount.bind_recursive == "disabled" else "rbind", propagation]
    if mount.read_only:
        # What is mounted below it is read-only too, as in Docker, if not said otherwise.
        options.append("ro" if mount.bind_recursive in ("disabled", "writable") else "rro")
    source = mount.source if beside is None else str(beside)
    return {"destination": target, "type": "bind", "source": source, "options": options}


def _tmpfs(mount: specs_pb2.Mount, target: str) -> Mount:
    options = ["nosuid", "nodev", "noexec", f"mode={mount.tmpfs_mode or _TMPFS_MODE:o}"]
    if mount.tmpfs_size_bytes:
        options.append(f"size={mount.tmpfs_size_bytes}")
    if mount.read_only:
        options.append("ro")
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}
