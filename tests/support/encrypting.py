"""Encryption of hosts that share one file system, and what is seen on the wire between them."""

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from hostkit import clock, netns
from overlay_net.encrypt.encryption import Encryption, Options
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.nft import Nft
from tests.support.fabric_hosts import PREFIX, FabricHost

_NUMBERS = itertools.count()
_ALL = 3  # ETH_P_ALL
_UDP = 17
PORT = 51820


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
    """kill -9, and wait until the device is gone with it."""
    os.kill(carrier(device), signal.SIGKILL)
    until_ended(device)


def until_ended(device: str) -> None:
    """Until nothing carries the device any more; the test's own limit ends it otherwise."""
    while carrier(device):
        time.sleep(0.01)


class Wire:
    """All frames that pass the bridge between the hosts, from now on."""

    def __init__(self) -> None:
        self._socket = netns.call_in(netns.path(PREFIX + "wire"), _listener)
        self._socket.setblocking(False)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def frames(self) -> list[bytes]:
        """Those that passed since it was last asked."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(1 << 16))
            except BlockingIOError:
                return found

    def ports(self) -> set[int]:
        """Where UDP datagrams over IPv4 that passed were sent to."""
        return {port for frame in self.frames() if (port := _udp_port(frame))}


def _udp_port(frame: bytes) -> int:
    if frame[12:14] != b"\x08\x00" or frame[23] != _UDP:
        return 0
    start = 14 + (frame[14] & 15) * 4
    return int.from_bytes(frame[start + 2 : start + 4], "big")


def _listener() -> socket.socket:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))


def unused_encryption(nft: Nft, host: FabricHost) -> Encryption:
    """For a host that has no encrypted network; its keys would be nowhere."""
    return encryption(nft, Path("/nonexistent"), host, "unused")
