"""A host of a lab that gives folders to the others over SSH."""

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hostkit import netns
from machine.drivers.lab.host import LabHost
from tests.support.ssh_server import SFTP, SSHD, answers
from tests.support.until import until_true

PORT = 2200


@dataclass(frozen=True)
class LabStorage:
    """`folder`: what is below it is given; every host and we out here see it under this path."""

    folder: Path
    host: str
    address: str
    host_key: str

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        made = self.folder / name
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        return made

    def options(self, name: str) -> dict[str, str]:
        """Of a volume of driver sshfs over a folder."""
        return {
            "sshcmd": f"root@{self.address}:{self.folder / name}",
            "port": str(PORT),
            "identity_file": str(self.folder / "client"),
            "host_key": self.host_key,
        }


async def started_storage(host: LabHost) -> LabStorage:
    """Starts the SSH server on a host, and waits until it listens; it ends with that."""
    folder = host.paths.directory.parent / "storage"
    await asyncio.to_thread(_furnish, folder, host.address)
    await host.run(["mkdir", "-p", "/run/sshd"])
    config, log = folder / "sshd_config", folder / "sshd.log"
    await host.run([SSHD, "-f", str(config), "-E", str(log)])  # which listens after it has forked
    await asyncio.to_thread(until_true, lambda: _listens(host), f"the SSH server listens: {log}")
    return LabStorage(folder, host.name, host.address, _host_key(folder))


def _furnish(folder: Path, address: str) -> None:
    folder.mkdir()
    for name in ("host", "client"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True, timeout=20)
    (folder / "sshd_config").write_text(
        f"Port {PORT}\nListenAddress {address}\nHostKey {folder / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'client.pub'}\nStrictModes no\nUsePAM no\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp {SFTP}\n"
    )


def _listens(host: LabHost) -> bool:
    namespace = netns.path(host.paths.namespace)
    return netns.call_in(namespace, lambda: answers(host.address, PORT))


def _host_key(folder: Path) -> str:
    return " ".join((folder / "host.pub").read_text().split()[:2])
