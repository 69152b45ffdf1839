"""A Gluster cluster of two hosts, which are network namespaces, with a volume of two bricks."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from hostkit import pidfd
from tests.support.until import until_true

VOLUME = "data"
ADDRESSES = ("10.99.0.1", "10.99.0.2")
_FURNISH = """
mount --make-rprivate / && mount --bind "$1/lib" /var/lib/glusterd &&
mount --bind "$1/log" /var/log/glusterfs && mount -t tmpfs tmpfs /run && mkdir /run/gluster &&
exec glusterd -N -p /run/glusterd.pid
"""


class Gluster:
    """`root`: where its bricks are; hosts are 0 and 1."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = [f"gl{os.getpid()}-{number}" for number in range(2)]
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Returns once the volume is there, and both bricks serve it."""
        for name in self.names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "link", "add", "v0", "netns", self.names[0], "type", "veth")
        _run("ip", "-n", self.names[0], "link", "set", "veth0", "netns", self.names[1])
        for name, device, address in zip(self.names, ("v0", "veth0"), ADDRESSES, strict=True):
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")
        for number in range(2):
            self._start_daemon(number)
        until_true(lambda: self.gluster("peer", "probe", ADDRESSES[1]), "the hosts know each other")
        until_true(lambda: "Connected" in self._told("peer", "status"), "the hosts are connected")
        bricks = [f"{ADDRESSES[n]}:{self.root / str(n) / 'brick'}" for n in range(2)]
        create = ("volume", "create", VOLUME, "replica", "2", *bricks, "force")
        until_true(lambda: self.gluster(*create), "the volume is made")
        until_true(lambda: self.gluster("volume", "start", VOLUME), "the volume is started")

    def stop_host(self, number: int) -> None:
        """Power off: everything of that host."""
        for pid in self._processes(number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def clear(self) -> None:
        """Nothing is left."""
        for number in range(2):
            self.stop_host(number)
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        for number, name in enumerate(self.names):
            until_true(lambda n=number: not self._processes(n), "its processes are gone")  # type: ignore[misc]
            subprocess.run(["ip", "netns", "del", name], check=False)

    def within(self, number: int, argv: Sequence[str]) -> list[str]:
        """A command in the network of a host."""
        return ["nsenter", f"--net=/run/netns/{self.names[number]}", "--", *argv]

    def gluster(self, *words: str) -> bool:
        """An order to the cluster; whether it was carried out."""
        return self._ask(*words).returncode == 0

    def _told(self, *words: str) -> str:
        return self._ask(*words).stdout.decode()

    def _ask(self, *words: str) -> "subprocess.CompletedProcess[bytes]":
        argv = ["nsenter", "-t", str(self._daemons[0].pid), "-m", "-n", "gluster", "--mode=script"]
        return subprocess.run([*argv, *words], capture_output=True, check=False, timeout=60)

    def _start_daemon(self, number: int) -> None:
        home = self.root / str(number)
        for folder in ("lib", "log"):
            (home / folder).mkdir(parents=True)
        shell = ["unshare", "--mount", "sh", "-c", _FURNISH, "sh", str(home)]
        with (home / "out").open("wb") as out:
            argv = self.within(number, shell)
            self._daemons.append(subprocess.Popen(argv, stdout=out, stderr=out))

    def _processes(self, number: int) -> list[int]:
        done = subprocess.run(
            ["ip", "netns", "pids", self.names[number]],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(p) for p in done.stdout.split() if pidfd.identify(int(p)) is not None]


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=20)


@contextlib.contextmanager
def gluster(root: Path) -> Iterator[Gluster]:
    """A cluster; nothing of it is left at the end."""
    made = Gluster(root)
    try:
        made.start()
        yield made
    finally:
        made.clear()
