"""Named network namespaces, and running code inside one. Nothing here touches links or addresses.

Names are files in /run/netns, as the `ip netns` command makes them and shows them; no `ip` is
forked. Threads that enter a namespace are made for it and end there: a thread that serves other
work must never be found in the wrong namespace.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from api.errors import Code, SwarmError
from hostkit.mount import MS_BIND, MS_REC, mount, unmount

T = TypeVar("T")

DIRECTORY = Path("/run/netns")

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_SHARED = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    """The file that stands for namespace `name`, whether it exists or not."""
    if not _NAME.fullmatch(name):
        raise SwarmError(Code.INVALID, f"{name!r} is no name for a network namespace")
    return DIRECTORY / name


def exists(name: str) -> bool:
    """Whether the name is taken, be it by a namespace or by what a crash left of one."""
    return path(name).exists()


def create(name: str) -> None:
    """A new, empty namespace (its loopback is down) under `name`. EXISTS if the name is taken."""
    target = path(name)
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _locked():
        _share_directory()
        try:
            os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
        except FileExistsError:
            raise SwarmError(
                Code.EXISTS,
                f"network namespace {name} exists",
                remedy=f"if nobody needs it: ip netns del {name}",
            ) from None
        try:
            _in_thread(lambda: _bind_fresh_namespace(target))
        except BaseException:
            target.unlink()
            raise


def ensure(name: str) -> Path:
    """The file of namespace `name`, made if it is not there, or only what a crash left of it."""
    target = path(name)
    if exists(name):
        try:
            call_in(target, lambda: None)
        except SwarmError:
            delete(name)
        else:
            return target
    create(name)
    return target


def delete(name: str) -> None:
    """Forget the name; the namespace ends when its last process and socket do.

    A missing name is no error. The last name takes the mount of /run/netns with it.
    """
    target = path(name)
    if not DIRECTORY.is_dir():
        return
    with _locked():
        while unmount(target):
            pass
        target.unlink(missing_ok=True)
        if not any(DIRECTORY.iterdir()):
            unmount(DIRECTORY)  # lazily: the lock's handle is still open on it


def enter(target: str | Path) -> None:
    """Move the calling thread into the network namespace of file `target`, for good."""
    try:
        handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SwarmError(Code.NOT_FOUND, f"network namespace {target} does not exist") from None
    try:
        _check(_libc.setns(handle, CLONE_NEWNET), f"entering network namespace {target}")
    finally:
        os.close(handle)


def call_in(target: str | Path, function: Callable[[], T]) -> T:
    """`function()` run by a thread of its own inside the namespace of file `target`.

    A socket made there stays in that namespace and may be used by any thread afterwards.
    """

    def inside() -> T:
        enter(target)
        return function()

    return _in_thread(inside)


def unshare(flags: int) -> None:
    """Give the calling process new namespaces, as CLONE_NEW*; it must have one thread only."""
    _check(_libc.unshare(flags), "making namespaces")


def _in_thread(function: Callable[[], T]) -> T:
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            results.append(function())
        except BaseException as error:  # carried over to the caller, whatever it is
            failures.append(error)

    thread = threading.Thread(target=body, name="netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _bind_fresh_namespace(target: Path) -> None:
    unshare(CLONE_NEWNET)
    mount("/proc/thread-self/ns/net", target, "none", MS_BIND)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """The lock that `ip netns` takes too, so that both may work at once."""
    handle = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _share_directory() -> None:
    """Make /run/netns a shared mount as `ip netns add` does, which would else hide ours."""
    try:
        mount("none", DIRECTORY, "none", _MS_SHARED | MS_REC)
    except OSError:  # not a mount point yet
        mount(str(DIRECTORY), DIRECTORY, "none", MS_BIND | MS_REC)
        mount("none", DIRECTORY, "none", _MS_SHARED | MS_REC)


def _check(result: int, doing: str) -> None:
    if result == 0:
        return
    number = ctypes.get_errno()
    denied = number in {errno.EPERM, errno.EACCES}
    raise SwarmError(
        Code.DENIED if denied else Code.INTERNAL,
        f"{doing} failed",
        why=os.strerror(number),
        remedy="run this as root" if denied else "",
    )
