"""The tree that every host begins with: Debian with systemd, an SSH server and Python, no more.

It is made once by debootstrap and kept under a name that follows from its recipe; hosts mount it
read-only. Whoever changes the recipe gets a new tree at the next run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.machine_hosts import mirrors
from tests.support.machine_hosts.suite import BOOKWORM, Suite

CACHE = Path("/var/cache/swarm-tests")
OPS_PASSWORD = "correct horse battery staple"  # noqa: S105 - of hosts that live for a test
_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "sudo", "python3"),
    *("iproute2", "iputils-ping", "netbase", "iptables", "nftables", "ca-certificates"),
)
_SCRIPT = Path(__file__).with_suffix(".sh")
_MAKING = 1800.0
_UNUSED = 30 * 86400.0
"""Seconds after which what no test asked for any more is deleted."""


def base_tree(cache: Path = CACHE, suite: Suite = BOOKWORM) -> Path:
    """The tree of a suite, made if it is not there; takes a minute or two then."""
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    made = cache / f"debian-{suite.version}-{_recipe(suite)}"
    with locked(cache / "base-tree.lock"):
        if not made.is_dir():
            _forget_unused(cache)
            _make(made, suite)
    os.utime(made)
    return made


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from making the same thing; the kernel frees it with this one."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _recipe(suite: Suite) -> str:
    parts = [suite.name, *_PACKAGES, _SCRIPT.read_text(), OPS_PASSWORD]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _make(made: Path, suite: Suite) -> None:
    building = made.with_name(f"{made.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    # In namespaces of its own, so that no mount and no process of it stays if it is broken off.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    sources = mirrors.configured()
    what = [suite.name, ",".join(_PACKAGES), sources.debian, sources.security, OPS_PASSWORD]
    make = [*alone, "sh", str(_SCRIPT), str(building), *what]
    done = subprocess.run(make, capture_output=True, timeout=_MAKING, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"making the tree failed: {(done.stdout + done.stderr)[-3000:]!r}")
    building.rename(made)


def _forget_unused(cache: Path) -> None:
    for tree in cache.glob("debian-*-*"):
        if time.time() - tree.stat().st_mtime > _UNUSED:
            shutil.rmtree(tree)
