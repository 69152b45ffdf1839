"""What the kernel says of this host, in the words of OCI and of the API. Changes nothing."""

import os

from api.v1 import types_pb2

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_NANO = 1_000_000_000


def hostname() -> str:
    """The host's name, in this UTS namespace."""
    return os.uname().nodename


def platform() -> types_pb2.Platform:
    """Operating system and architecture, as OCI names them."""
    machine = os.uname().machine
    return types_pb2.Platform(architecture=_ARCHITECTURES.get(machine, machine), os="linux")


def resources() -> types_pb2.Resources:
    """The processors and the memory of the whole host."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return types_pb2.Resources(nano_cpus=(os.cpu_count() or 1) * _NANO, memory_bytes=memory)
