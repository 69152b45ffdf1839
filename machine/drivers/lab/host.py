"""One host of a lab: its power switch, its link, its daemon, and a way in.

What is true of a host is asked of the kernel, never remembered: any process may do any of this,
also after the one that made the host has crashed.
"""

import asyncio
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import cgroup, netns, pidfd, process
from machine import turns
from machine.driver import State
from machine.drivers.lab import (
    cgroups,
    command,
    control,
    cuts,
    disk,
    enter,
    etc,
    network,
)
from machine.drivers.lab.boot import Boot
from machine.drivers.lab.control import DaemonStatus
from machine.drivers.lab.naming import HostPaths
from machine.drivers.lab.record import HostRecord, LabRecord

_BOOT_TIMEOUT = 60.0
_STOP_GRACE = 10.0
_STEP = 0.02
_TOLD_LINES = 5
_INIT = Path(__file__).with_name("init.py")
_FOREGROUND = Path(__file__).with_name("foreground.py")


class LabHost:
    """A host out of namespaces; fulfils machine.driver.Host."""

    def __init__(self, base: Path, lab: LabRecord, host: HostRecord) -> None:
        self.paths = HostPaths(base, lab.name, host.name)
        self._lab = lab
        self._record = host

    @property
    def name(self) -> str:
        """Its name in the lab."""
        return self._record.name

    @property
    def address(self) -> str:
        """Its address in the lab's network."""
        return self._record.address

    async def state(self) -> State:
        """What it does now."""
        if self.pid() is None:
            return State.STOPPED
        frozen = cgroups.is_frozen(cgroup.detect(), self.paths.cgroup)
        return State.PAUSED if frozen else State.RUNNING

    def pid(self) -> int | None:
        """The pid of its PID 1 on this machine; None if it does not run."""
        identity = self._identity()
        return identity.pid if identity is not None and pidfd.is_alive(identity) else None

    async def start(self) -> None:
        """Boot it with the disk it had, an empty run directory and a whole link."""
        with turns.locked(self.paths.directory, f"host {self.name}"):
            if self.pid() is not None:
                return
            plan = self._boot_plan()
            plan.save(self.paths.boot)  # before the clearing: boot.py says why
            await self._clear()
            try:
                await self._boot(plan.token)
            except BaseException:
                await self._clear()
                raise

    async def stop(self, grace: float = _STOP_GRACE) -> None:
        """Shut it down: the daemon first, within `grace` seconds, then the rest, then PID 1."""
        with turns.locked(self.paths.directory, f"host {self.name}"):
            if self.pid() is not None:
                cgroups.thaw(cgroup.detect(), self.paths.cgroup)
                await control.shut_down(self.paths.init_socket, grace)
            await self._clear()

    async def kill(self) -> None:
        """Power failure: the link is cut first, so that no connection is seen to close."""
        with turns.locked(self.paths.directory, f"host {self.name}"):
            await self._clear()

    async def erase(self) -> None:
        """Kill it and delete its disk."""
        await self.kill()
        await disk.detach(self.paths)
        await asyncio.to_thread(shutil.rmtree, self.paths.directory)

    async def pause(self) -> None:
        """Stop every process of it where it stands; the network stays up. Until `resume`."""
        self._running()
        await cgroups.freeze(cgroup.detect(), self.paths.cgroup)

    async def resume(self) -> None:
        """Let its processes go on."""
        self._running()
        cgroups.thaw(cgroup.detect(), self.paths.cgroup)

    async def cut(self, way: cuts.Way = cuts.Way.BOTH) -> None:
        """Cut it off the lab's network, until `heal` or the next start. It cannot tell."""
        self._running()
        await cuts.cut(self._lab.name, self.name, way)

    async def heal(self) -> None:
        """End the cut; partitions stay."""
        await cuts.mend(self._lab.name, self.name)

    async def daemon(self) -> DaemonStatus:
        """How its daemon is."""
        self._awake()
        return await control.ask(self.paths.init_socket, "status")

    async def start_daemon(self) -> DaemonStatus:
        """Start its daemon, if it does not run."""
        self._awake()
        return await control.ask(self.paths.init_socket, "start")

    async def stop_daemon(self, grace: float = _STOP_GRACE) -> DaemonStatus:
        """End its daemon by SIGTERM, after `grace` seconds by SIGKILL; its children live on."""
        self._awake()
        return await control.stop_daemon(self.paths.init_socket, grace)

    async def kill_daemon(self) -> DaemonStatus:
        """End its daemon by SIGKILL; its children live on."""
        self._awake()
        return await control.ask(self.paths.init_socket, "kill")

    async def pause_daemon(self) -> DaemonStatus:
        """Stop its daemon where it stands (SIGSTOP); all else goes on."""
        self._awake()
        return await control.ask(self.paths.init_socket, "pause")

    async def resume_daemon(self) -> DaemonStatus:
        """Let its daemon go on."""
        self._awake()
        return await control.ask(self.paths.init_socket, "resume")

    async def wait_for_socket(self, path: Path, timeout: float = 30.0) -> None:
        """Until somebody listens on a unix socket; the daemon's last words if it ends instead."""
        try:
            async with asyncio.timeout(timeout):
                while not _listens(path):
                    if (await self.daemon()).pid is None:
                        raise SwarmError(
                            Code.UNAVAILABLE,
                            f"the daemon of {self.name} ended at its start",
                            why=self.last_words(),
                            remedy=f"see {self.paths.daemon_log}",
                        )
                    await asyncio.sleep(_STEP)
        except TimeoutError:
            raise SwarmError(
                Code.DEADLINE,
                f"the daemon of {self.name} does not listen on {path}",
                why=f"waited {timeout:g} s",
                remedy=f"see {self.paths.daemon_log}",
            ) from None

    def last_words(self) -> str:
        """The end of the daemon's output."""
        try:
            text = self.paths.daemon_log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return " | ".join(text.splitlines()[-_TOLD_LINES:])

    def entering(self, argv: Sequence[str], *, terminal: bool = False) -> list[str]:
        """The argument list to execute out here so that `argv` runs in the host.

        `terminal`: standard input is a terminal, of which `argv` is to be the foreground job.
        """
        self._awake()
        leaves = cgroups.leaves(cgroup.detect(), self.paths.cgroup)
        job = [sys.executable, "-I", "-S", str(_FOREGROUND)] if terminal else []
        return enter.argv(self._running(), leaves, [*job, *argv])

    def environment(self) -> dict[str, str]:
        """The environment of the host's processes."""
        return enter.environment(Path(sys.executable).parent, self.paths.swarm_socket)

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 30.0,
        check: bool = True,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> process.Completed:
        """Run a command in the host to its end; `env` comes on top of the host's own."""
        return await process.run(
            self.entering(argv),
            timeout=timeout,
            check=check,
            input=input,
            env=self.environment() | dict(env or {}),
        )

    def _identity(self) -> pidfd.ProcessId | None:
        try:
            pid, started = self.paths.pid.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return None
        return pidfd.ProcessId(int(pid), int(started))

    def _running(self) -> int:
        pid = self.pid()
        if pid is None:
            raise SwarmError(
                Code.REFUSED,
                f"host {self.name} does not run",
                remedy=f"start it: swarmctl lab start {self.name} --name {self._lab.name}",
            )
        return pid

    def _awake(self) -> None:
        self._running()
        if cgroups.is_frozen(cgroup.detect(), self.paths.cgroup):
            raise SwarmError(Code.REFUSED, f"host {self.name} is paused", remedy="resume it first")

    async def _boot(self, token: str) -> None:
        paths = self.paths
        etc.write(paths, self._lab.hosts)
        paths.state.mkdir(mode=0o711, exist_ok=True)
        if self._record.disk:
            await disk.attach(paths, self._record.disk)
        paths.run.mkdir(mode=0o755, exist_ok=True)
        await asyncio.to_thread(_empty, paths.run)
        cgroups.make(cgroup.detect(), paths.cgroup)
        await self.heal()
        await asyncio.to_thread(
            network.plug, self._lab.name, self.name, paths.namespace, self.address
        )
        argv = [sys.executable, "-m", "machine.drivers.lab.boot", str(paths.boot), token]
        started = await process.run(argv, timeout=_BOOT_TIMEOUT, check=False, cwd="/")
        if started.code != 0:
            why = started.err.decode(errors="replace").strip()
            raise SwarmError(Code.INTERNAL, f"host {self.name} did not start", why=why)

    def _boot_plan(self) -> Boot:
        paths = self.paths
        init = (sys.executable, "-I", "-S", str(_INIT))
        return Boot(
            token=secrets.token_hex(8),
            name=self.name,
            namespace=str(netns.path(paths.namespace)),
            cgroup=paths.cgroup,
            labs=str(paths.base),
            state=str(paths.state),
            etc=str(paths.etc),
            pid=str(paths.pid),
            log=str(paths.init_log),
            init=(*init, str(paths.init_socket), str(paths.daemon_log)),
            daemon=tuple(command.filled(self._record.command, paths, self.address)),
            environment=self.environment(),
        )

    async def _clear(self) -> None:
        """Leave nothing of it but its directory, whatever there was: link, processes, cgroups."""
        paths = self.paths
        identity = self._identity()
        if identity is not None and pidfd.is_alive(identity):
            await self.cut()
            pidfd.send_signal(identity, signal.SIGKILL)
        await cgroups.remove(cgroup.detect(), paths.cgroup)
        await asyncio.to_thread(network.unplug, self._lab.name, self.name, paths.namespace)
        paths.pid.unlink(missing_ok=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
