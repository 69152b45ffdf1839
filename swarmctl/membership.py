"""What a node remembers of its swarm between two runs: one small file beside its certificate.

Written whole and atomically. The file appears when a life can go on from what is on the disk, and
gets another name when leaving begins: so a crash leaves a member, no member, or one that is leaving
and does the rest at its next start.
"""

import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.identity import Credentials, load_credentials, save_credentials
from hostkit.durable import replace, sync_folder

logger = logging.getLogger(__name__)

FORMAT = 1
_LATER = {"data_path_address": ""}
"""What earlier versions did not write, and what they meant."""


@dataclass(frozen=True)
class Membership:
    """A node's place in a swarm. Addresses are host:port."""

    node_id: str
    cluster_id: str
    manager: bool
    advertise_address: str
    listen_address: str
    managers: tuple[str, ...]
    data_path_address: str = ""
    """Where this node's tunnels end; empty: at the address that the managers see."""


class MembershipStore:
    """The folder `swarm` of a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / "swarm"
        self._file = self.directory / "membership.json"
        self._leaving = self.directory / "leaving.json"
        self.log = self.directory / "manager"
        """A manager's log."""
        self.keys = self.directory / "manager.key"
        """The keys that a manager's log is sealed with."""

    def read(self) -> Membership | None:
        """The membership alone, which is never encrypted; None for a node that is in no swarm."""
        try:
            content = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(self._file, str(error)) from error
        return _membership(self._file, content)

    def load(self) -> tuple[Membership, Credentials] | None:
        """The membership and a certificate whose key is not encrypted, or None for a node that is
        in no swarm.
        """
        membership = self.read()
        return None if membership is None else (membership, self.credentials(membership))

    def credentials(self, membership: Membership, passwords: Iterable[bytes] = ()) -> Credentials:
        """The certificate of this membership; its key may be encrypted under one of `passwords`."""
        credentials = load_credentials(self.directory, passwords)
        if credentials is None:
            raise _damaged(self._file, "the certificate beside it is gone")
        identity = credentials.identity
        if (identity.id, identity.cluster_id) != (membership.node_id, membership.cluster_id):
            raise _damaged(self._file, "the certificate beside it is of another node or swarm")
        return credentials

    def save_credentials(self, credentials: Credentials, password: bytes | None = None) -> None:
        """Writes the certificate, its key (encrypted if there is a password) and the root."""
        save_credentials(self.directory, credentials, password)

    def save(self, membership: Membership) -> None:
        """Writes the membership; the certificate has been written before."""
        content = json.dumps({"format": FORMAT, **asdict(membership)}, indent=1)
        replace(self._file, content.encode())

    def resign(self) -> None:
        """Ends the membership, durably; what it needs to be wound up stays until `clear`."""
        if self._file.exists():
            self._file.replace(self._leaving)
            sync_folder(self.directory)

    def is_leaving(self) -> bool:
        """Whether a membership was resigned, and not yet forgotten."""
        return self._leaving.exists()

    def clear(self) -> None:
        """Forgets the swarm: certificate, key, log and all."""
        if not self.directory.exists():
            return
        # Durably first: the rest goes piece by piece, and a membership without it is damage.
        self._file.unlink(missing_ok=True)
        sync_folder(self.directory)
        shutil.rmtree(self.directory, onerror=_not_removed)


def _membership(path: Path, content: object) -> Membership:
    """The membership in the content of its file; SwarmError if it is anything else."""
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no JSON object")
    if content.get("format") != FORMAT:
        raise _damaged(path, f"its format is {content.get('format')!r}, known is {FORMAT}")
    names = Membership.__dataclass_fields__
    fields: dict[str, Any] = {name: content.get(name, _LATER.get(name)) for name in names}
    for name, value in fields.items():
        if name == "managers":
            right = isinstance(value, list) and value and all(isinstance(m, str) for m in value)
        else:
            right = isinstance(value, bool if name == "manager" else str)
        if not right:
            raise _damaged(path, f"{name} is missing, or of another type")
    fields["managers"] = tuple(fields["managers"])
    return Membership(**fields)


def _not_removed(function: object, path: str, error: Any) -> None:  # noqa: ANN401 - exc_info
    if not isinstance(error[1], FileNotFoundError):
        logger.error("%s, of a swarm that was left, cannot be removed: %s", path, error[1])


def _damaged(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        f"cannot read this node's membership in {path}",
        why=why,
        remedy="restore it from a backup, or remove the folder it is in and join the swarm again",
    )
