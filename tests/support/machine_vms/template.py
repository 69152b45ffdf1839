"""The machine that all others go on from: booted once, and kept as it stood then.

Its network says nothing, and it has neither host keys nor an operator: each clone gets its own.
Kept by what it was made of, as the tree of bare hosts is.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hostkit import netns
from tests.support.machine_hosts.base_tree import CACHE, base_tree, locked
from tests.support.machine_hosts.package_server import package_server
from tests.support.machine_vms import agent, qemu
from tests.support.until import until_true

_SCRIPT = Path(__file__).with_name("image.sh")
_TAP = "tap0"
_MAKING = 1800.0
_BOOT = 900.0


def template(cache: Path = CACHE) -> Path:
    """The folder of kernel, disk and snapshot; takes some ten minutes if it has to be made."""
    base = base_tree(cache)
    made = cache / f"vm-{qemu.digest(base.name, _SCRIPT.read_text(), qemu.shape())}"
    complete = made / "complete"
    with locked(cache / "vm.lock"):
        if not complete.exists():
            for old in cache.glob("vm-*"):
                shutil.rmtree(old)
            made.mkdir()
            _make_image(base, made, cache)
            _make_snapshot(made)
            complete.touch()
    return made


def _make_image(base: Path, folder: Path, cache: Path) -> None:
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with package_server(cache, "127.0.0.1") as packages:
        make = [*alone, "sh", str(_SCRIPT), str(base), str(folder), packages.url]
        done = subprocess.run(make, capture_output=True, timeout=_MAKING, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"making the image failed: {(done.stdout + done.stderr)[-3000:]!r}")


def _make_snapshot(folder: Path) -> None:
    backed = ["-b", str(folder / "root.img"), "-F", "raw", str(folder / "disk.qcow2")]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backed], check=True, timeout=60)
    with _namespace(f"swv-{os.getpid()}") as namespace:
        argv = qemu.words(folder, folder, _TAP, resume=False)
        process = qemu.Process(argv, namespace, folder / "qemu.log")
        try:
            socket = folder / "agent.sock"
            until_true(lambda: agent.answers(socket), "the template has booted", _BOOT)
            settled = ["systemctl", "is-system-running", "--wait"]
            agent.execute(socket, settled, timeout=_BOOT)
            complaint = qemu.command(folder, f"savevm {qemu.SNAPSHOT}")
            if complaint:
                raise RuntimeError(f"no snapshot: {complaint}")
        finally:
            process.kill()


@contextlib.contextmanager
def _namespace(name: str) -> Iterator[Path]:
    """A network of nothing but a tap."""
    netns.create(name)
    path = netns.path(name)
    try:
        add_tap(path, _TAP)
        yield path
    finally:
        netns.delete(name)


def add_tap(namespace: Path, name: str) -> None:
    """A tap that is up."""
    ip = ["nsenter", f"--net={namespace}", "ip"]
    for words in (["tuntap", "add", "dev", name, "mode", "tap"], ["link", "set", name, "up"]):
        subprocess.run([*ip, *words], check=True, timeout=30, capture_output=True)
