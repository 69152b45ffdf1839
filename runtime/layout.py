"""Where everything of a container lies on disk. Paths only; touches nothing.

State (real file system, survives the daemon): one directory per container, which is its OCI
bundle. Run (short paths, volatile): what the OCI runtime keeps, exit files, attach sockets.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ContainerPaths:
    """The files of one container."""

    bundle: Path
    exit_file: Path  # conmon writes the exit code here, by rename
    socket_link: Path  # conmon makes it, to bind the attach socket by a short path
    runtime_state: Path
    beside: Path  # where what it binds is mounted for it

    @property
    def record(self) -> Path:
        """What the driver itself must know again after a restart."""
        return self.bundle / "record.json"

    @property
    def config(self) -> Path:
        """The OCI runtime configuration."""
        return self.bundle / "config.json"

    @property
    def merged(self) -> Path:
        """Mount point of the root file system."""
        return self.bundle / "merged"

    @property
    def upper(self) -> Path:
        """What the container wrote."""
        return self.bundle / "upper"

    @property
    def work(self) -> Path:
        """The overlay's own scratch directory, on the same file system as `upper`."""
        return self.bundle / "work"

    @property
    def log(self) -> Path:
        """The log that conmon writes at present."""
        return self.bundle / "log"

    @property
    def old_log(self) -> Path:
        """The log before the last rotation."""
        return self.bundle / "log.1"

    @property
    def control(self) -> Path:
        """The fifo through which conmon takes orders."""
        return self.bundle / "ctl"

    @property
    def pidfile(self) -> Path:
        """Pid of the container's first process."""
        return self.bundle / "pid"

    @property
    def conmon_pidfile(self) -> Path:
        """Pid of its monitor."""
        return self.bundle / "conmon.pid"

    @property
    def conmon_errors(self) -> Path:
        """What the monitor complains about before it is on its own."""
        return self.bundle / "conmon.err"

    @property
    def left_by_monitor(self) -> tuple[Path, ...]:
        """What a monitor makes, and leaves behind, and the next one must not find."""
        names = ("ctl", "winsz", "attach", "oom")
        return (*(self.bundle / name for name in names), self.socket_link)

    @property
    def persist(self) -> Path:
        """Exit code once more, beyond a reboot, and `oom` if memory ran out."""
        return self.bundle / "end"

    def etc(self, name: str) -> Path:
        """Our file behind /etc/NAME of the container."""
        return self.bundle / f"etc-{name}"


@dataclass(frozen=True)
class Layout:
    """The two directories of a driver."""

    state_dir: Path
    run_dir: Path

    @property
    def containers(self) -> Path:
        """Parent of all bundles."""
        return self.state_dir / "containers"

    @property
    def no_layer(self) -> Path:
        """An empty layer, for images without any."""
        return self.state_dir / "empty"

    @property
    def runtime_root(self) -> Path:
        """State of the OCI runtime."""
        return self.run_dir / "oci"

    @property
    def exits(self) -> Path:
        """Exit files, one per container."""
        return self.run_dir / "exits"

    @property
    def sockets(self) -> Path:
        """Links to bundles, so that attach sockets have short names."""
        return self.run_dir / "s"

    @property
    def commands(self) -> Path:
        """One directory per command that runs in a container, as long as it does."""
        return self.run_dir / "x"

    @property
    def scratch(self) -> Path:
        """Short-lived links to layers."""
        return self.run_dir / "l"

    @property
    def beside(self) -> Path:
        """A folder per container that binds what is mounted for it alone."""
        return self.run_dir / "b"

    def container(self, id: str) -> ContainerPaths:
        """The paths of one container, whether it exists or not."""
        return ContainerPaths(
            bundle=self.containers / id,
            exit_file=self.exits / id,
            socket_link=self.sockets / id,
            runtime_state=self.runtime_root / id,
            beside=self.beside / id,
        )

    def make(self) -> None:
        """Makes the directories, for root alone."""
        wanted = (self.containers, self.no_layer, self.runtime_root, self.exits, self.sockets)
        for directory in (
            self.state_dir,
            self.run_dir,
            *wanted,
            self.commands,
            self.scratch,
            self.beside,
        ):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
