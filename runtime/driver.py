"""What a container driver promises, and the words in which it is asked and answers.

Callers hold on to this Protocol; `conmon_driver` is the implementation. Nothing here, or below,
knows of clusters, services or tasks. Times are seconds since the epoch, if not said.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from api.v1 import specs_pb2
from runtime.health import ProbeResult
from runtime.health_check import HealthCheck

Phase = Literal["created", "running", "exited"]
Stream = Literal["stdout", "stderr"]

IMAGE_LABEL = "swarm.image.id"
"""The label in which callers say what image a container is made of, so that it is not removed."""
MOUNTED_LABEL = "swarm.image.mounted"
"""The same of those that are mounted in it, with commas between."""
MONITOR_LOST = "monitor lost"
MONITOR_LOST_CODE = 255


@dataclass(frozen=True)
class Fill:
    """A volume that, if it is empty, gets what the image has at its place in the container."""

    target: str
    volume: Path


@dataclass(frozen=True)
class ContainerRequest:
    """One container to make.

    `spec.secrets`, `spec.configs` and volume mounts are the caller's to turn into bind mounts.
    """

    id: str
    name: str
    spec: specs_pb2.ContainerSpec
    resources: specs_pb2.ResourceRequirements
    image_config: Mapping[str, Any]  # the OCI image configuration
    layers: tuple[Path, ...]  # unpacked layers, lowest first
    hostname: str
    network: str  # "none", "host", or "netns:/path/of/a/netns"
    labels: Mapping[str, str]  # opaque, kept, and given back by `list`
    fills: tuple[Fill, ...] = ()
    images: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Of mounts of images the layers, lowest first, by their places in the container."""
    devices: tuple[Path, ...] = ()
    """Block devices of the host, bound by mounts of the spec, that the container may use."""
    resolv_conf: str = ""  # the text of /etc/resolv.conf; empty: what spec.dns and the host's say


@dataclass(frozen=True)
class ExitResult:
    """How a container ended: 128 + signal if by one, 255 and `message` if nobody knows."""

    code: int
    oom_killed: bool  # the kernel killed some process of it for want of memory
    at: float
    message: str


@dataclass(frozen=True)
class ContainerState:
    """One container as last seen; `pid` is 0 and `started_at` 0.0 where there is none."""

    id: str
    name: str
    labels: Mapping[str, str]
    phase: Phase
    pid: int
    started_at: float
    exit: ExitResult | None
    health: HealthCheck | None  # how it is to be probed, if it is


@dataclass(frozen=True)
class Fingerprint:
    """What runs containers on this host, which of memory, cpu, pids and swap it cannot limit, and
    whether it has an init process for those that ask for one.
    """

    runtime: str
    cgroup_version: int
    missing_controllers: tuple[str, ...]
    init: bool = True


@dataclass(frozen=True)
class LogLine:
    """One line, or with `partial` a piece of one; `data` has no newline at its end.

    `at` is in nanoseconds since the epoch, as the log has it.
    """

    at: int
    stream: Stream
    data: bytes
    partial: bool


@dataclass(frozen=True)
class Stats:
    """What a container uses: CPU since its start, memory without reclaimable file cache."""

    cpu_ns: int
    memory_bytes: int
    memory_limit_bytes: int  # 0: none
    pids: int


@dataclass(frozen=True)
class ExecRequest:
    """One command to run in a container; what is empty is the container's own."""

    command: tuple[str, ...]
    stdin: bool = False
    tty: bool = False
    user: str = ""
    dir: str = ""
    env: tuple[str, ...] = ()  # a name alone takes the variable away
    rows: int = 24
    columns: int = 80


class RunningCommand(Protocol):
    """A command that runs in a container. Nothing is read ahead: who does not read, holds it up."""

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What it writes to; a terminal has only one."""
        ...

    async def read(self, stream: Stream) -> bytes:
        """The next piece of 32 KiB at most; empty after its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Gives it input, once there is room; silently nothing if it reads no more."""
        ...

    async def end_input(self) -> None:
        """There is no more input."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal has another size."""
        ...

    def signal(self, number: int) -> None:
        """Signals it; nothing happens if it has ended."""
        ...

    async def wait(self) -> int:
        """Its exit code: 128 + signal if by one, 126 if it cannot be run, 127 if not found."""
        ...


States: TypeAlias = list[ContainerState]


class ContainerDriver(Protocol):
    """Runs containers that outlive it. Every call raises SwarmError with a cause for people."""

    async def fingerprint(self) -> Fingerprint:
        """Finds the OCI runtime that works here; SwarmError UNAVAILABLE if none does."""
        ...

    async def create(self, request: ContainerRequest) -> None:
        """Makes everything short of starting the process; on failure leaves nothing behind."""
        ...

    async def renew(self, request: ContainerRequest) -> None:
        """As `create`, of a container that has ended: it has what it wrote before, and its log goes
        on. REFUSED if the host was restarted meanwhile. On failure it is as it was.
        """
        ...

    async def start(self, id: str) -> int:
        """Starts a created container; the pid of its first process."""
        ...

    async def wait(self, id: str) -> ExitResult:
        """Returns when the container has ended, at once if it did before."""
        ...

    async def signal(self, id: str, number: int) -> None:
        """Signals the first process; nothing happens if the container has ended."""
        ...

    async def stop(self, id: str, grace: float) -> ExitResult:
        """Sends the container's stop signal, and KILL after `grace` seconds."""
        ...

    async def kill(self, id: str) -> ExitResult:
        """Kills all processes of the container and waits for its end."""
        ...

    async def remove(self, id: str) -> None:
        """Kills if need be and deletes every trace; also of what is not there."""
        ...

    async def state(self, id: str) -> ContainerState:
        """One container; SwarmError NOT_FOUND."""
        ...

    async def list(self) -> States:
        """All containers of this driver."""
        ...

    def logs(
        self, id: str, *, follow: bool, tail: int = -1, since: int = 0, until: int = 0
    ) -> AsyncIterator[LogLine]:
        """Lines in order: the last `tail` (-1: all) between the times; `follow` until the end.

        Times are nanoseconds since the epoch; 0: no limit.
        """
        ...

    def exec(self, id: str, request: ExecRequest) -> AbstractAsyncContextManager[RunningCommand]:
        """Runs a command beside the container's process; at the end of the block it is no more."""
        ...

    async def recover(self) -> States:
        """Once, before anything else: adopts what runs, settles what ended, removes half-made."""
        ...

    async def probe(self, id: str, command: Sequence[str], timeout: float) -> ProbeResult:
        """Runs a command in a running container, and kills it after `timeout` seconds.

        Never raises for what goes wrong with it. A container whose end makes it fail has ended
        when this returns.
        """
        ...

    async def stats(self, id: str) -> Stats:
        """What a container uses at present."""
        ...

    async def close(self) -> None:
        """Stops watching; the containers live on."""
        ...
