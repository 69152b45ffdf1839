"""From a container request to the OCI runtime configuration, `config.json`. Pure.

Everything about a request that can be wrong without a look at the disk is refused here, before
anything is changed. The user is put in later (`process.set_user`): who that is depends on files
of the image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError, invalid
from api.v1 import specs_pb2
from runtime import mounts, process, resources, seccomp, signals
from runtime.driver import ContainerRequest
from runtime.host_facts import HostFacts

OCI_VERSION = "1.0.2"
NETNS_PREFIX = "netns:"
Config = dict[str, Any]

_SHORT_ID = 12

_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_NAMESPACES = ("pid", "mount", "uts", "ipc", "cgroup")
_IPC_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
# Docker's: with a network of its own, a container may ping and open low ports without privileges.
_NETWORK_SYSCTLS = {
    "net.ipv4.ping_group_range": "0 2147483647",
    "net.ipv4.ip_unprivileged_port_start": "0",
}


def image_section(request: ContainerRequest) -> Mapping[str, Any]:
    """The part of the image configuration that says how to run it."""
    found: Mapping[str, Any] = request.image_config.get("config") or {}
    return found


def stop_signal(request: ContainerRequest) -> int:
    """The spec's, else the image's, else TERM."""
    text = request.spec.stop_signal or image_section(request).get("StopSignal") or ""
    return signals.number(text, "container.stop_signal") if text else signals.DEFAULT_STOP


def host_name(request: ContainerRequest) -> str:
    """The container's host name; Docker's default is the beginning of its id."""
    return request.hostname or request.id[:_SHORT_ID]


def cgroup_of(host: HostFacts, id: str) -> str:
    """The container's control group."""
    return group_of(host.cgroup_parent, id)


def group_of(parent: str, id: str) -> str:
    """The control group of a container below that of all."""
    return f"{parent.rstrip('/')}/{id}"


def build(
    request: ContainerRequest,
    host: HostFacts,
    rootfs: Path,
    etc: Mapping[str, Path],
    beside: Mapping[str, Path] | None = None,
) -> Config:
    """The whole configuration, for root; `etc`: file in the container -> ours on the host;
    `beside`: place in the container -> what is mounted for it on the host (`runtime.beside`).
    """
    spec = request.spec
    _refuse_unsupported(spec)
    all_mounts = mounts.build(spec, etc, beside or {})
    built = process.build(spec, image_section(request), host_name(request), host)
    if spec.init:
        all_mounts.append(mounts.init(_init(host)))
        built["args"] = [mounts.INIT_PATH, "--", *built["args"]]
    linux: dict[str, Any] = {
        "namespaces": _namespaces(request.network),
        "cgroupsPath": cgroup_of(host, request.id),
        "resources": resources.build(spec, request.resources, host),
        "sysctl": _sysctls(spec, request.network),
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READ_ONLY),
    }
    propagation = mounts.root_propagation(all_mounts)
    if propagation is not None:
        linux["rootfsPropagation"] = propagation
    profile = seccomp.choose(spec.privileges.seccomp_profile)
    if profile is not None:
        held = frozenset(built["capabilities"]["bounding"])
        linux["seccomp"] = seccomp.to_oci(profile, held, host.machine)
    if spec.privileges.selinux_label:
        linux["mountLabel"] = spec.privileges.selinux_label
    return {
        "ociVersion": OCI_VERSION,
        "process": built,
        "root": {"path": str(rootfs), "readonly": spec.read_only},
        "hostname": host_name(request),
        "mounts": all_mounts,
        "linux": linux,
        "annotations": {},
    }


def _refuse_unsupported(spec: specs_pb2.ContainerSpec) -> None:
    unsupported = (
        ("isolation", spec.isolation not in ("", "default"), "isolation of Windows containers"),
        ("privileges.credential_spec", spec.privileges.credential_spec, "a credential spec"),
    )
    for field, asked, what in unsupported:
        if asked:
            raise SwarmError(
                Code.UNSUPPORTED,
                f"{what} is not offered by this runtime",
                field=f"container.{field}",
            )


def _init(host: HostFacts) -> Path:
    if host.init is None:
        raise SwarmError(
            Code.UNSUPPORTED,
            "an init process inside the container is not possible on this node",
            why="tini-static is not installed",
            remedy="install the package tini there",
            field="container.init",
        )
    return host.init


def _namespaces(network: str) -> list[dict[str, str]]:
    found = [{"type": kind} for kind in _NAMESPACES]
    if network == "host":
        return found
    if network == "none":
        return [*found, {"type": "network"}]
    path = network.removeprefix(NETNS_PREFIX)
    if path == network or not path.startswith("/"):
        raise invalid("network", f"{network!r} is none of none, host, netns:/path")
    return [*found, {"type": "network", "path": path}]


def _sysctls(spec: specs_pb2.ContainerSpec, network: str) -> dict[str, str]:
    found = {} if network == "host" else dict(_NETWORK_SYSCTLS)
    for name, value in sorted(spec.sysctls.items()):
        field = f"container.sysctls.{name}"
        if name.startswith("net."):
            if network == "host":
                raise invalid(field, f"{name} would change the host's own network")
        elif name not in _IPC_SYSCTLS and not name.startswith("fs.mqueue."):
            raise invalid(field, f"{name} is not a container's own: it would change the host")
        found[name] = value
    return found
