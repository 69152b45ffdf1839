"""Finds an OCI runtime that works on this host, by running one trivial container with each.

crun first, for it needs half of runc's CPU; crun behind its wrapper on hosts with both versions of
control groups; then runc. What a version number promises is not asked.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from hostkit.cgroup import Hierarchies
from runtime import bpf, bundle, hybrid, process, user
from runtime.driver import ContainerRequest
from runtime.host_facts import HostFacts
from runtime.layout import Layout
from runtime.oci import OciError, OciRuntime

log = logging.getLogger(__name__)

_FILTERED = ("grep", "-q", "^Seccomp:[[:space:]]*2", "/proc/self/status")
_HOST_DIRECTORIES = ("/usr", "/bin", "/lib", "/lib64")
_MEMORY = 64 << 20
_PIDS = 32
_NANO_CPUS = 1_000_000_000


def find(layout: Layout, host: HostFacts, hierarchies: Hierarchies) -> OciRuntime:
    """The first candidate that works; SwarmError UNAVAILABLE with each one's cause if none."""
    causes = []
    for candidate in _candidates(layout, hierarchies):
        try:
            return _tried(candidate, layout, host)
        except OciError as error:
            causes.append(f"{candidate.kind}: {error}")
            log.info("%s does not work here: %s", candidate.binary, error)
    raise SwarmError(
        Code.UNAVAILABLE,
        "no container runtime works on this host",
        why="; ".join(causes) or "neither crun nor runc is installed",
        remedy="install crun or runc, and see that cgroups are mounted",
    )


def find_conmon() -> Path:
    """The monitor's program; SwarmError UNAVAILABLE if it is not installed."""
    found = shutil.which("conmon")
    if found is None:
        raise SwarmError(
            Code.UNAVAILABLE,
            "containers cannot be run on this host",
            why="conmon, which monitors them, is not installed",
            remedy="install the package conmon",
        )
    return Path(found)


def _candidates(layout: Layout, hierarchies: Hierarchies) -> Iterator[OciRuntime]:
    for kind in ("crun", "runc"):
        path = shutil.which(kind)
        if path is None:
            continue
        runtime = OciRuntime(Path(path), kind, "", layout.runtime_root)
        yield runtime
        if kind == "crun" and hierarchies.version == 1 and hierarchies.unified is not None:
            wrapper = hybrid.make_wrapper(layout.state_dir, Path(path), hierarchies.unified)
            yield OciRuntime(wrapper, kind, "", layout.runtime_root)


def _tried(candidate: OciRuntime, layout: Layout, host: HostFacts) -> OciRuntime:
    """The candidate as it works; OciError if it does not."""
    version = candidate.call("--version").splitlines()[0].split()[-1]
    for takes_bpf in (True, False) if candidate.kind == "crun" else (False,):
        runtime = OciRuntime(candidate.binary, candidate.kind, version, candidate.root, takes_bpf)
        try:
            _run(runtime, layout, host)
        except OciError as error:
            if not takes_bpf:
                raise
            log.info("%s with a compiled seccomp filter: %s", candidate.binary, error)
        else:
            return runtime
    raise AssertionError("the last attempt returns or raises")


def _run(runtime: OciRuntime, layout: Layout, host: HostFacts) -> None:
    id = _probe_id(layout)
    directory = layout.run_dir / id
    rootfs = directory / "rootfs"
    rootfs.mkdir(parents=True, exist_ok=True)
    try:
        config = _config(id, host, rootfs)
        if runtime.takes_bpf:
            bpf.apply(config)
        (directory / "config.json").write_text(json.dumps(config))
        runtime.delete(id)  # of a probe that was cut off
        runtime.call("run", "--bundle", str(directory), id)
    finally:
        runtime.delete(id)
        shutil.rmtree(directory, ignore_errors=True)


def _probe_id(layout: Layout) -> str:
    """Differs between drivers, which may share a parent of their control groups."""
    return f"probe-{zlib.crc32(bytes(layout.run_dir)):08x}"


def _config(id: str, host: HostFacts, rootfs: Path) -> dict[str, Any]:
    """A container of the host's own programs, limited as far as the host can."""
    binds = [
        specs_pb2.Mount(source=path, target=path, read_only=True)
        for path in _HOST_DIRECTORIES
        if Path(path).is_dir()
    ]
    spec = specs_pb2.ContainerSpec(command=_FILTERED, mounts=binds)
    resources = specs_pb2.ResourceRequirements()
    if "memory" in host.controllers:
        resources.limits.memory_bytes = _MEMORY
    if "cpu" in host.controllers:
        resources.limits.nano_cpus = _NANO_CPUS
    if "pids" in host.controllers:
        resources.pids_limit = _PIDS
    request = ContainerRequest(id, id, spec, resources, {}, (), id, "none", {})
    config = bundle.build(request, host, rootfs, {})
    process.set_user(config["process"], user.resolve("", (), "", ""))
    return config
