"""What a driver of volumes promises, and the words in which it is asked and answers.

Callers hold on to this Protocol; `local`, `sshfs`, `plugin`, `csi` and so on implement it. Nothing
here knows of tasks, leases or managers: when a mount has to end is the affair of `guardian`.

**Repeating.** Each call may come again after a crash at any moment, with the same words: what is
done already is left as it is, what is not there any more is gone already. Calls for one volume come
one after the other, calls for different volumes at once.

**Time.** Every call ends within the driver's own time-out, and does not block the event loop: what
may hang in the kernel (a mount, a look into one) runs in a child process with a deadline. A call
that is cancelled leaves behind only what the same call, or its opposite, takes up.

**Errors** are SwarmError: NOT_FOUND no such volume, INVALID its options are wrong, UNSUPPORTED it
cannot do that, UNAVAILABLE and DEADLINE try again later (a storage that is not reached, a plugin
that is silent), REFUSED it is in use. Each names the driver and says what to do. Nothing in an
error or a log tells what is in `secrets`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol


class Scope(Enum):
    """Where what a driver makes can be reached."""

    LOCAL = "local"  # on the host that made it, alone
    GLOBAL = "global"  # on every host that has the driver


class Access(Enum):
    """Who may use a volume at a time."""

    SINGLE_WRITER = "single-writer"  # one host
    MANY_READERS = "many-readers"
    MANY_WRITERS = "many-writers"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do.

    `creates`, `opens`: see `controller`; `deletes`: volumes have to be removed in so many words.
    `fences`: `fence` shuts a host out of the storage. `ends_with_process`: a mount of it is served
    by a process that it had started with `Keeper.serve`, and is dead once that process is.
    `segments` and `host_id`: where this host is in the driver's topology, and what it is called
    there; empty where it has no such thing.
    """

    scope: Scope
    creates: bool = False
    deletes: bool = False
    opens: bool = False
    fences: bool = False
    ends_with_process: bool = False
    segments: Mapping[str, str] = field(default_factory=dict)
    host_id: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume, as its driver has to know it.

    `name` is its own among all volumes of the driver on this host, and safe as a file name.
    `handle`, `context`: what the driver's controller said when it made it; `publish_context`: what
    it said about this host. `secrets` are never written to a disk that outlives a boot.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    access: Access = Access.SINGLE_WRITER
    read_only: bool = False
    block: bool = False  # a device instead of a file system
    handle: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    publish_context: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Known:
    """A volume that is there, as its driver tells of it; what it does not say is empty."""

    name: str
    path: Path | None = None  # where it is mounted, or is for good; None: nowhere
    created_at: str = ""  # RFC 3339
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """A program that serves a file system for as long as it lives, in the foreground.

    `transport`: a second one, whose standard input and output are joined to those of the first; the
    mount is dead once either has ended. `files` are in memory only, for as long as it takes to get
    ready: `{file:NAME}` in a command is the path of one. Secrets belong there, not into commands.
    """

    command: Sequence[str]
    transport: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Keeper(Protocol):
    """Who keeps a mount of one volume: a process that outlives the daemon, and ends with the lease.

    A driver whose file system is served by a process starts it here and never by itself: only so
    does the kernel end it together with its keeper, though that is stopped and no code runs.
    """

    async def serve(self, server: Server, target: Path, deadline: float) -> int:
        """Starts the server; its pid, once there is a mount at `target` that answers.

        DEADLINE after so many seconds, UNAVAILABLE if it ends before, with what it wrote to stderr
        last; nothing of it is left then. What is served there already is left as it is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume is to be mounted.

    `target`: a folder of its own, empty until then, that the driver mounts on unless it has its own
    place; for a block device the path of a file that is not there yet, in a folder that is. `id`
    names this mount for good: the same after a restart, another for each use of the volume.
    """

    id: str
    target: Path
    keeper: Keeper


@dataclass(frozen=True, slots=True)
class Mounted:
    """What a container gets to see.

    `path`: the target, or the driver's own place, absolute and looked at: a plugin may lie. `pid`
    of the process that serves it, 0: the kernel does, or nobody says.
    """

    path: Path
    pid: int = 0


class VolumeDriver(Protocol):
    """Makes volumes and mounts them on this host. See above for repeating, time and errors."""

    @property
    def name(self) -> str:
        """What users call it, as `local`."""
        ...

    async def capabilities(self) -> Capabilities:
        """What it can do, asked anew each time: UNAVAILABLE, with the remedy, if it does not work
        on this host now.
        """
        ...

    async def create(self, volume: Volume) -> None:
        """Makes it; INVALID if another one of that name is there with other options."""
        ...

    async def remove(self, volume: Volume) -> None:
        """Deletes it with its data; REFUSED while it is mounted."""
        ...

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """Makes it visible; on failure nothing of this mount is left that blocks anybody.

        NOT_FOUND if it was never made, where the driver can tell.
        """
        ...

    async def unmount(self, volume: Volume, place: Place) -> None:
        """Ends that mount, and returns when nothing of this host writes through it any more.

        Containers that used it are dead by then. What is written has reached the storage, or the
        storage was not there to take it.
        """
        ...

    async def get(self, name: str) -> Known:
        """One volume; NOT_FOUND."""
        ...

    async def list(self) -> Sequence[Known]:
        """All that it has here; of a global driver those that it can tell."""
        ...

    async def fence(self, volume: Volume, host_id: str) -> None:
        """Shuts another host out of the volume at the storage: when this returns, nothing that host
        has begun or begins reaches it. UNSUPPORTED unless the capabilities say `fences`.
        """
        ...
