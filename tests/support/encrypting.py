"""Encryption of hosts that share one file system."""

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hostkit import clock
from overlay_net.encrypt.encryption import Encryption, Options
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.nft import Nft
from tests.support.fabric_hosts import FabricHost

_NUMBERS = itertools.count()


class Now:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return clock.wall() + self.ahead


def device_name() -> str:
    """One that no other host of this machine has: sockets of wireguard-go are in one folder."""
    return f"w{os.getpid() % 10**6}{chr(ord('a') + next(_NUMBERS) % 26)}"


def encryption(
    nft: Nft, folder: Path, host: FabricHost, device: str, now: Callable[[], float] = clock.wall
) -> Encryption:
    """Of a host, by its device of this name; keys are in `folder`."""
    ring = KeyRing(KeyFile(folder / f"{device}.json"), now, lambda: 0.0)
    return Encryption(nft, ring, Options(device=device, host=host.path))


def carrier(device: str) -> int:
    """The pid of the wireguard-go that carries a device; 0: none does."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
            if words[:-1] and words[0].endswith(b"wireguard-go") and words[1] == device.encode():
                return int(folder.name)
    return 0


def kill_carrier(device: str) -> None:
    """kill -9, and wait until the device is gone with it; nothing happens if there is none."""
    if pid := carrier(device):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until_ended(device)


def until_ended(device: str) -> None:
    """Until nothing carries the device any more; the test's own limit ends it otherwise."""
    while carrier(device):
        time.sleep(0.01)


def unused_encryption(nft: Nft, host: FabricHost) -> Encryption:
    """For a host that has no encrypted network; its keys would be nowhere."""
    return encryption(nft, Path("/nonexistent"), host, "unused")
