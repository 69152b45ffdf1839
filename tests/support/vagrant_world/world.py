"""Vagrant with libvirt in namespaces of their own, over an emulated processor.

Nothing of it is seen by this machine's libvirt or in its network, and all of it ends with one
process. Packages come to the guests as they do to the bare hosts.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hostkit import pidfd
from tests.support.machine_hosts.base_tree import CACHE, locked
from tests.support.machine_hosts.package_server import PORT, package_server
from tests.support.machine_vms import qemu
from tests.support.machine_vms.template import template
from tests.support.until import until_true

BOX = "swarm-test"
VAGRANT = Path(__file__).resolve().parents[3] / "vagrant"
_HERE = Path(__file__).parent
_GATEWAY = "192.168.121.1"
"""This end of the network that vagrant-libvirt manages machines over (its default)."""
_PROGRAMS = Path(sys.executable).parent
_BOX_TIME = 600.0
_START = 60.0
_END = 30.0


class World:
    """Runs programs where libvirt is."""

    def __init__(self, pid: int, state: Path) -> None:
        self._pid = pid
        self._state = state

    def run(
        self, argv: Sequence[str], timeout: float, extra: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """A program to its end, in the folder of the Vagrantfile; both streams as one."""
        entered = ["nsenter", f"--target={self._pid}", "--mount", "--net", "--pid", "--"]
        at_home = ["env", f"--chdir={VAGRANT}", *argv]
        return subprocess.run(
            [*entered, *at_home],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=self._environment() | dict(extra or {}),
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self._state),
            "LANG": "C.UTF-8",
            "PATH": f"{_PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LIBVIRT_DEFAULT_URI": "qemu:///system",
            "VAGRANT_HOME": str(self._state / "vagrant"),
            "VAGRANT_DOTFILE_PATH": str(self._state / "dotfile"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "SWARM_BOX": BOX,
            "SWARM_PROVIDER_DRIVER": "qemu",
            "SWARM_BOOT_TIMEOUT": "900",
            "SWARM_MACHINE_STORAGE_PATH": str(self._state / "machines"),
            "SWARM_CLUSTER_FILE": str(self._state / "cluster.yml"),
        }


@contextmanager
def vagrant_world() -> Iterator[World]:
    """With the box added; every machine ends at the end, even one that nobody destroyed."""
    box = _box(template())
    with tempfile.TemporaryDirectory(prefix="vagrant-", dir="/var/tmp") as folder:
        state = Path(folder)
        alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        start = ["setpriv", "--pdeathsig", "KILL", *alone, "sh", str(_HERE / "libvirt.sh")]
        with (state / "console.log").open("wb") as console:
            outer = subprocess.Popen(
                [*start, folder],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            first = _first_process(outer.pid)
            try:
                yield from _inside(first.pid, state, box)
            finally:
                # It is gone when all others of its namespace are.
                pidfd.kill(first, _END)
        finally:
            outer.kill()
            outer.wait(_END)


def _first_process(outer: int) -> pidfd.ProcessId:
    children = Path(f"/proc/{outer}/task/{outer}/children")
    until_true(lambda: bool(children.read_text().split()), "the namespaces are there", _START)
    found = pidfd.identify(int(children.read_text().split()[0]))
    assert found is not None, "libvirt's namespaces ended at once"
    return found


def _inside(pid: int, state: Path, box: Path) -> Iterator[World]:
    world = World(pid, state)
    asked = ["virsh", "-c", "qemu:///system", "version"]
    until_true(lambda: world.run(asked, 20).returncode == 0, "libvirtd answers", _START)
    with package_server(CACHE, "0.0.0.0", PORT, namespace=Path(f"/proc/{pid}/ns/net")):  # noqa: S104
        added = world.run(["vagrant", "box", "add", "--name", BOX, str(box)], _BOX_TIME)
        assert added.returncode == 0, added.stdout
        yield world


def _box(image: Path) -> Path:
    """The box of that image, made if it is not there."""
    script = _HERE / "box.sh"
    made = image / f"{qemu.digest(script.read_text())}.box"
    with locked(CACHE / "box.lock"):
        if not made.exists():
            packages = f"http://{_GATEWAY}:{PORT}"
            make = ["unshare", "--mount", "sh", str(script), str(image), str(made), packages]
            done = subprocess.run(make, capture_output=True, timeout=_BOX_TIME, check=False)
            assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return made
