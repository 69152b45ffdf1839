"""qemu as these tests run it: its words, its process, its monitor.

Emulated in software, never by KVM: a /dev/kvm that is there may not be one that works.
"""

import contextlib
import functools
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.machine_vms.json_socket import JsonSocket

PROGRAM = "qemu-system-x86_64"
SNAPSHOT = "ready"
_MEMORY = 768  # MiB of each machine
_KERNEL = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet mitigations=off tsc=reliable"
    " no_timer_check"
)
# A snapshot goes on only in a machine with the very same devices, this address included.
_MAC = "52:54:00:77:00:01"
_MONITOR_TIME = 120.0
_END = 30.0


@functools.cache
def version() -> str:
    """Of the qemu of this machine: snapshots of another do not go on."""
    asked = [PROGRAM, "--version"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    return said.stdout.splitlines()[0]


def words(image: Path, folder: Path, tap: str, *, resume: bool) -> list[str]:
    """The command line. `image`: folder of kernel and initrd. `folder`: of the machine."""
    return [
        *(PROGRAM, "-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max", "-M", "q35"),
        *("-smp", "1", "-m", str(_MEMORY), "-display", "none", "-nodefaults"),
        *("-serial", f"file:{folder / 'console.log'}"),
        *("-qmp", f"unix:{folder / 'monitor.sock'},server=on,wait=off"),
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")),
        *("-append", _KERNEL),
        *("-drive", f"file={folder / 'disk.qcow2'},if=none,id=d0,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=d0"),
        *("-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=n0,mac={_MAC}"),
        *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
        *("-chardev", f"socket,path={folder / 'agent.sock'},server=on,wait=off,id=a0"),
        *("-device", "virtserialport,chardev=a0,name=org.qemu.guest_agent.0"),
        *(["-loadvm", SNAPSHOT] if resume else []),
    ]


class Process:
    """One qemu, from its making to its end; it ends with this process, however that ends."""

    def __init__(self, argv: list[str], namespace: Path, log: Path) -> None:
        self._argv = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={namespace}", *argv]
        self._log = log
        self._started = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        # The kernel ends it with the thread that starts it: this one, which does nothing else.
        self._thread = threading.Thread(target=self._live, name="qemu", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def kill(self) -> None:
        """Ends it at once; no error if it has ended."""
        if self._child is not None:
            self._child.kill()
        self._thread.join(_END)

    def _live(self) -> None:
        try:
            with self._log.open("ab") as log:
                self._child = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        finally:
            self._started.set()
        self._child.wait()


@contextlib.contextmanager
def monitor(folder: Path) -> Iterator[JsonSocket]:
    """A connection to the monitor of a machine, ready for commands."""
    connection = JsonSocket(folder / "monitor.sock", _MONITOR_TIME)
    try:
        connection.line()  # its greeting
        connection.send({"execute": "qmp_capabilities"})
        connection.answer()
        yield connection
    finally:
        connection.close()


def command(folder: Path, line: str) -> str:
    """What the monitor for humans answers to a line."""
    with monitor(folder) as connection:
        request = {"execute": "human-monitor-command", "arguments": {"command-line": line}}
        connection.send(request)
        return str(connection.answer()).strip()


def digest(*parts: str) -> str:
    """A short name for what was made of these parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def shape() -> str:
    """What a snapshot depends on besides the disk."""
    return " ".join([version(), *words(Path("image"), Path("folder"), "tap", resume=False)])
