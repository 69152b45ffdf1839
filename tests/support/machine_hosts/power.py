"""The power switch of a host: its PID 1 is started, started again when it reboots, and killed.

Its processes end with this one, however that ends.
"""

import signal
import subprocess
import threading
from pathlib import Path

from hostkit import cgroup, netns
from tests.support.machine_hosts.form import HostPaths

_INIT = Path(__file__).with_name("init.sh")
_PATIENCE = 20.0
# Joining the group must come before the namespaces, of which its root is one. The kernel kills what
# unshare made when unshare ends, and unshare when the thread ends that started it.
_START = """\
echo $$ >"$1/cgroup.procs"; namespace=$2; shift 2
exec nsenter --net="$namespace" \
    unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$@"
"""


class Power:
    """One host that runs from `on` to `off`, or until it shuts itself down."""

    def __init__(self, base: Path, paths: HostPaths) -> None:
        self._base = base
        self._paths = paths
        self._hierarchies = cgroup.detect()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._cut_off = False
        self.boots = 0
        """How often it booted."""

    @property
    def is_on(self) -> bool:
        """Whether it runs, or is about to boot again."""
        return self._thread is not None and self._thread.is_alive()

    def pid(self) -> int | None:
        """Its PID 1 on this machine; None while there is none."""
        process = self._process
        if process is None or process.poll() is not None:
            return None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        try:
            found = children.read_text().split()
        except FileNotFoundError:
            return None
        return int(found[0]) if found else None

    def on(self) -> None:
        """Boots it. One that is on stays so."""
        if self.is_on:
            return
        self._cut_off = False
        self._thread = threading.Thread(target=self._life, name=self._paths.name, daemon=True)
        self._thread.start()

    def off(self) -> None:
        """Ends all its processes at once. One that is off stays so."""
        self._cut_off = True
        process, thread = self._process, self._thread
        if process is not None:
            process.kill()
        if thread is not None:
            thread.join(_PATIENCE)
        group = self._paths.cgroup
        if not cgroup.kill(self._hierarchies, group, _PATIENCE):
            raise RuntimeError(f"{self._paths.name} has processes that do not end")
        cgroup.remove(self._hierarchies, group)

    def _life(self) -> None:
        while not self._cut_off:
            self._process = self._booted()
            self.boots += 1
            # What a PID namespace does at reboot(2): its PID 1 ends by SIGHUP, at power-off by
            # SIGINT, and unshare after it (pid_namespaces(7)).
            if self._process.wait() != -signal.SIGHUP:
                return

    def _booted(self) -> "subprocess.Popen[bytes]":
        unified = self._hierarchies.unified
        assert unified is not None, "hosts need a hierarchy of control groups of version 2"
        group = unified / self._paths.cgroup.lstrip("/")
        group.mkdir(exist_ok=True)
        paths = self._paths
        places = (self._base, paths.image, paths.disk, paths.root)
        init = ["sh", str(_INIT), *map(str, places), paths.name]
        first = (group, netns.path(paths.namespace))
        start = ["sh", "-euc", _START, "sh", *map(str, first), *init]
        with paths.console.open("ab") as console:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *start],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
