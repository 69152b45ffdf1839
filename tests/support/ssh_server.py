"""A real SSH server on the loopback address, that gives its folder to whoever has its key."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_pair
from tests.support.until import until_true

SSHD = "/usr/sbin/sshd"
SFTP = "/usr/lib/openssh/sftp-server"


@dataclass(frozen=True)
class SshServer:
    """Where it listens, and what a client needs."""

    process: "subprocess.Popen[bytes]"
    address: str
    port: int
    key: bytes
    host_key: str
    folder: Path

    def options(self) -> dict[str, str]:
        """Of a volume of driver sshfs."""
        return {
            "sshcmd": f"root@{self.address}:{self.folder}",
            "port": str(self.port),
            "host_key": self.host_key,
        }


@contextlib.contextmanager
def ssh_server(
    work: Path,
    address: str = "127.0.0.1",
    *,
    before: Sequence[str] = (),
    authorized: Path | None = None,
) -> Iterator[SshServer]:
    """Runs one; it is gone at the end, with its sessions.

    `before`: the words that the server's own command follows, such as those of unshare;
    `authorized`: where the key is looked for, if `before` puts it elsewhere.
    """
    folder = work / "storage"
    folder.mkdir()
    for name in ("host", "client"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / name)]
        subprocess.run(make, check=True, timeout=20)
    (work / "authorized").write_bytes((work / "client.pub").read_bytes())
    port = free_pair(address)
    config = work / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {work / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {authorized or work / 'authorized'}\nStrictModes no\nUsePAM no\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp {SFTP}\n"
    )
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    with (work / "sshd.log").open("wb") as log:
        process = subprocess.Popen([*before, SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        until_true(lambda: answers(address, port), "the SSH server answers")
        host_key = " ".join((work / "host.pub").read_text().split()[:2])
        key = (work / "client").read_bytes()
        yield SshServer(process, address, port, key, host_key, folder)
    finally:
        for session in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, 9)
        process.kill()
        process.wait()


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    below = [each for child in found for each in _children(int(child))]
    return [*below, *map(int, found)]


def answers(address: str, port: int) -> bool:
    """Whether somebody listens there, as seen from the network of the calling thread."""
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False
