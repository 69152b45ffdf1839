"""Turns its own process into a host: joins the cgroups, takes the namespaces, forks PID 1.

    python -m machine.drivers.lab.boot BOOT_FILE TOKEN

Exits 0 when PID 1 runs with its daemon started, else 1 with the reason on standard error. The
pid is on record before PID 1 does anything, and PID 1 goes no further if this process dies.

The one who asked for it may crash, and the next one start the host anew meanwhile: the boot file
then has another token. Who starts a host writes the file first and then kills what is in the
cgroup; so a late process finds itself killed, or its token gone, and never makes a second PID 1.
"""

import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from api.errors import SwarmError
from hostkit import cgroup, netns, pidfd
from hostkit.mount import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    mount,
    mount_points,
    unmount,
)
from machine.drivers.lab import cgroups
from machine.drivers.lab.record import write_atomically

_MS_SHARED = 1 << 20
_CGROUPS = Path("/sys/fs/cgroup")
_TMP = Path("/tmp")  # noqa: S108 - what is mounted over
_PROGRAM = Path(__file__).resolve().parents[3]
_NAMESPACES = netns.CLONE_NEWNS | netns.CLONE_NEWUTS | netns.CLONE_NEWIPC | netns.CLONE_NEWPID


@dataclass(frozen=True)
class Boot:
    """What one boot needs to know; paths as seen outside, which hold inside as well."""

    token: str
    name: str
    namespace: str
    cgroup: str
    labs: str  # the directory of all labs
    state: str
    etc: str
    pid: str
    log: str
    init: tuple[str, ...]  # argument list of PID 1, to which READY_FD, `--` and `daemon` are added
    daemon: tuple[str, ...]
    environment: dict[str, str]

    def save(self, path: Path) -> None:
        """Write the boot file."""
        write_atomically(path, json.dumps(asdict(self), indent=2) + "\n")


def load(path: Path) -> Boot:
    """Read the boot file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    lists = {key: tuple(content[key]) for key in ("init", "daemon")}
    return Boot(**{**content, **lists})


def boot(path: Path, token: str) -> str:
    """Fork PID 1 and wait for it; what went wrong, or nothing. Runs in a process of its own."""
    plan = load(path)
    cgroups.join(cgroup.detect(), plan.cgroup)
    if load(path).token != token:  # only now: see the module
        return "the host was started by somebody else meanwhile"
    netns.enter(plan.namespace)
    netns.unshare(_NAMESPACES)
    go_read, go_write = os.pipe()
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.close(ready_read)
        _become_init(plan, go_read, ready_write)
    os.close(go_read)
    os.close(ready_write)
    identity = pidfd.identify(pid)
    if identity is None:
        return "PID 1 ended at once"
    write_atomically(Path(plan.pid), f"{identity.pid} {identity.started}\n")
    os.write(go_write, b"go")
    with os.fdopen(ready_read, "rb") as answers:
        answer = answers.read().decode(errors="replace")
    if answer == "ready":
        return ""
    os.waitpid(pid, 0)
    return answer or "PID 1 ended early: see init.log"


def _become_init(plan: Boot, go: int, ready: int) -> None:
    """Never returns. A failure goes to the parent through `ready`."""
    try:
        if os.read(go, 2) == b"go":
            os.setsid()
            os.chdir("/")
            redirect(plan.log)
            furnish(plan)
            os.set_inheritable(ready, True)
            argv = [*plan.init, str(ready), "--", *plan.daemon]
            os.execve(argv[0], argv, plan.environment)  # noqa: S606 - an argument list
    except (OSError, SwarmError) as error:
        os.write(ready, f"furnishing the host failed: {error}".encode())
    finally:
        os._exit(1)


def redirect(log: str) -> None:
    """Let go of the starter's descriptors: nothing to read, and all output into `log`."""
    for number, (path, flags) in enumerate(
        [("/dev/null", os.O_RDONLY), (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)]
    ):
        handle = os.open(path, flags, 0o640)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(1, 2)


def furnish(plan: Boot) -> None:
    """Mounts and the host name, in this process's own namespaces.

    The root ends up shared, as systemd makes it, so that volumes may ask for propagation.
    """
    mount("none", Path("/"), "none", MS_REC | MS_PRIVATE)
    # Copies of other hosts' namespaces would keep those alive after their hosts.
    for point in mount_points(netns.DIRECTORY):
        unmount(point)
    # Copies of other hosts' disks would keep those in use.
    for point in mount_points(Path(plan.labs)):
        if point != Path(plan.state):
            unmount(point)
    # What is mounted over stays in the mount table and misleads its readers: take it away first.
    unmount(Path("/proc"))
    mount("proc", Path("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", Path("/run"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    _mount_tmp()
    mount("tmpfs", Path("/dev/shm"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # noqa: S108
    Path("/run/lock").mkdir(mode=0o755)
    _mount_sys()
    for name in ("hosts", "hostname", "resolv.conf"):
        target = Path("/etc", name)
        _revive(target)
        mount(f"{plan.etc}/{name}", target, "none", MS_BIND)
    socket.sethostname(plan.name)
    mount("none", Path("/"), "none", MS_REC | _MS_SHARED)


def _mount_tmp() -> None:
    """A /tmp of the host's own; this program stays visible where it was installed below it."""
    own = [path for path in (_PROGRAM, Path(sys.prefix)) if path.is_relative_to(_TMP)]
    kept = {path: Path(f"/run/kept-{number}") for number, path in enumerate(own)}
    for path, place in kept.items():
        place.mkdir()
        mount(str(path), place, "none", MS_BIND)
    mount("tmpfs", _TMP, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for path, place in kept.items():
        path.mkdir(parents=True, exist_ok=True)
        mount(str(place), path, "none", MS_BIND)
        unmount(place)
        place.rmdir()


def _mount_sys() -> None:
    """A /sys of the host's own network namespace; the cgroup mounts stay as they are.

    Without the version 2 mount of a hybrid machine: crun refuses to work beside it.
    """
    saved = Path("/run/cgroup")
    saved.mkdir()
    mount(str(_CGROUPS), saved, "none", MS_BIND | MS_REC)
    unmount(Path("/sys"))
    mount("sysfs", Path("/sys"), "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(str(saved), _CGROUPS, "none", MS_BIND | MS_REC)
    for point in mount_points(saved):
        unmount(point)
    saved.rmdir()
    hierarchies = cgroup.detect()
    if hierarchies.version == 1 and hierarchies.unified is not None:
        unmount(hierarchies.unified)


def _revive(target: Path) -> None:
    """Make what a link such as /etc/resolv.conf points at, if the new /run hides that."""
    real = target.resolve()
    if real != target and real.is_relative_to("/run"):
        real.parent.mkdir(parents=True, exist_ok=True)
    if not real.exists():
        real.touch()


def main() -> int:
    """The whole program; see the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tool, which then cleans up
    os.setsid()
    try:
        failure = boot(Path(sys.argv[1]), sys.argv[2])
    except (OSError, SwarmError) as error:
        failure = str(error)
    if failure:
        sys.stderr.write(f"{failure}\n")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
