"""A host of a lab that gives folders to the others over SSH."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import Swarm
from tests.support.ssh_server import SFTP, SSHD

PORT = 2200


@dataclass(frozen=True)
class LabStorage:
    """`folder`: what is below it is given; every host and we out here see it under this path."""

    folder: Path
    address: str
    host_key: str

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        made = self.folder / name
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        return made

    def flags(self, name: str) -> list[str]:
        """Of `volume create`, for a volume over a folder."""
        options = {
            "sshcmd": f"root@{self.address}:{self.folder / name}",
            "port": str(PORT),
            "identity_file": str(self.folder / "client"),
            "host_key": self.host_key,
        }
        return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def lab_storage(swarm: Swarm, host: str) -> LabStorage:
    """Starts the SSH server on a host; it ends with that."""
    lab_host = swarm.host(host)
    folder = lab_host.paths.directory.parent / "storage"
    folder.mkdir()
    for name in ("host", "client"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True, timeout=20)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {PORT}\nListenAddress {lab_host.address}\nHostKey {folder / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'client.pub'}\nStrictModes no\nUsePAM no\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp {SFTP}\n"
    )
    swarm.inside(host, "mkdir", "-p", "/run/sshd")
    swarm.inside(host, SSHD, "-f", str(config), "-E", str(folder / "sshd.log"))
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    return LabStorage(folder, lab_host.address, host_key)
