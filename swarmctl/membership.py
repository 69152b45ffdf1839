"""What a node remembers of its swarm between two runs: one small file beside its certificate.

Written whole and atomically. The file appears last when joining and goes first when leaving, so a
crash in between leaves a node that is no member.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from api.identity import Credentials, load_credentials, save_credentials

FORMAT = 1


@dataclass(frozen=True)
class Membership:
    """A node's place in a swarm. Addresses are host:port."""

    node_id: str
    cluster_id: str
    manager: bool
    advertise_address: str
    listen_address: str
    managers: tuple[str, ...]


class MembershipStore:
    """The folder `swarm` of a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / "swarm"
        self._file = self.directory / "membership.json"

    def load(self) -> tuple[Membership, Credentials] | None:
        """The membership and the certificate, or None for a node that is in no swarm."""
        try:
            content = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(self._file, str(error)) from error
        credentials = load_credentials(self.directory)
        if content.pop("format", None) != FORMAT or credentials is None:
            raise _damaged(self._file, "its format is unknown, or the certificate is gone")
        content["managers"] = tuple(content["managers"])
        return Membership(**content), credentials

    def save_credentials(self, credentials: Credentials) -> None:
        """Writes the certificate, its key and the root to believe."""
        save_credentials(self.directory, credentials)

    def save(self, membership: Membership) -> None:
        """Writes the membership; the certificate has been written before."""
        temporary = self._file.with_suffix(".new")
        with temporary.open("w") as out:
            json.dump({"format": FORMAT, **asdict(membership)}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self._file)
        _sync(self.directory)

    def resign(self) -> None:
        """Ends the membership, durably, while its files are still needed."""
        self._file.unlink(missing_ok=True)
        if self.directory.exists():
            _sync(self.directory)

    def clear(self) -> None:
        """Forgets the swarm: certificate, key, log and all."""
        self._file.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _damaged(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        f"cannot read this node's membership in {path}",
        why=why,
        remedy="restore the file, or empty the folder and join the swarm again",
    )
