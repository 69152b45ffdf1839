"""The secrets that a node keeps on its disk: the key of its certificate, and on a manager the keys
that its log is sealed with. What is encrypted, under what, and in which order that changes.

The unlock key encrypts one file alone, that of the log's keys. While it does, the certificate's key
is encrypted under a secret out of that file. So a lock begins, ends and gets another key by one
rename, and whatever moment the power fails, the key that opens the one file opens both.
"""

import threading
from pathlib import Path

from api.errors import Code, SwarmError
from api.identity import Credentials
from manager.raft.durable import damage
from manager.raft.durable.keyring import FileKeys
from swarmctl.membership import Membership, MembershipStore

_PURPOSE = "certificate-key"


class NodeSafe:
    """The present certificate of a node, and on a manager its keys. Threads may share it."""

    def __init__(
        self, memberships: MembershipStore, credentials: Credentials, keys: FileKeys | None
    ) -> None:
        self._memberships = memberships
        self.credentials = credentials
        self.keys = keys
        """None on a worker, which cannot be locked."""
        self._writing = threading.Lock()

    def save(self, credentials: Credentials) -> None:
        """Replaces the certificate, on the disk and here; OSError leaves the present one here."""
        with self._writing:
            self._write(credentials, encrypt=self.keys is not None and self.keys.is_locked)
            self.credentials = credentials

    def relock(self, kek: bytes | None, version: int) -> bool:
        """Encrypts everything from now on so that it takes `kek` to read it, None: nothing.

        Returns as FileKeys.relock; OSError leaves what the key of before or the new one opens. A
        failure at the very end of unlocking leaves the certificate's key encrypted under a secret
        that lies beside it in clear.
        """
        with self._writing:
            if self.keys is None or not self.keys.differs(kek, version):
                return False
            if kek is not None and not self.keys.is_locked:
                self._write(self.credentials, encrypt=True)
            self.keys.relock(kek, version)
            if kek is None:
                self._write(self.credentials, encrypt=False)
            return True

    def _write(self, credentials: Credentials, *, encrypt: bool) -> None:
        password = _passwords(self.keys)[0] if encrypt else None
        self._memberships.save_credentials(credentials, password)


def found(
    memberships: MembershipStore, membership: Membership, kek: bytes | None = None
) -> NodeSafe:
    """What the disk holds of the secrets of a membership; REFUSED or INTERNAL if it is damaged.

    LockedError if that takes a `kek` and there is none; DENIED (field `key`) if it is another.
    """
    if membership.manager and not memberships.keys.exists():
        raise _keys_are_gone(memberships.keys)
    keys = FileKeys(memberships.keys, kek) if membership.manager else None
    return NodeSafe(memberships, memberships.credentials(membership, _passwords(keys)), keys)


def made(
    memberships: MembershipStore,
    credentials: Credentials,
    *,
    manager: bool,
    kek: bytes | None = None,
) -> NodeSafe:
    """The safe of a node that takes a place in a swarm, with fresh keys if that is a manager's.

    What an earlier place left in their file is removed: nothing that it opens is used any more.
    With a `kek` nothing touches the disk in clear.
    """
    if manager:
        memberships.keys.unlink(missing_ok=True)
    keys = FileKeys(memberships.keys, kek) if manager else None
    safe = NodeSafe(memberships, credentials, keys)
    safe.save(credentials)
    return safe


def _keys_are_gone(path: Path) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        f"the key file {path} is gone",
        why="without it nobody can read this manager's log",
        remedy=f"put back the one that belongs to this state folder; without it, {damage.REJOIN}",
    )


def _passwords(keys: FileKeys | None) -> tuple[bytes, ...]:
    return () if keys is None else keys.derived(_PURPOSE)
