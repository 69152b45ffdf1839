"""Connections to SSH servers of tests, with keys and known hosts of their own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import paramiko

from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.questions import Questions
from machine.ssh.remote import SshRemote
from machine.ssh.transport import Patience
from machine.target import Target

Use = Callable[[SshRemote], Awaitable[None]]
PATIENCE = Patience(
    dial=20, banner=20, handshake=20, auth=20, channel=20, alive=0.2, silence=20, late=0.5, stuck=20
)
"""Long where servers of these tests are waited for, which answer; who waits in vain shortens it."""


class Answers:
    """Questions with answers that are known beforehand; remembers what was asked."""

    def __init__(self, passphrase: str | None = None, password: str | None = None) -> None:
        self._passphrase = passphrase
        self._password = password
        self.asked: list[str] = []

    async def passphrase(self, key: Path) -> str | None:
        self.asked.append(key.name)
        return self._passphrase

    async def sudo_password(self, machine: str, user: str) -> str | None:
        self.asked.append(f"{user} of {machine}")
        return self._password


class Client:
    """One operator: a folder with a key, and known hosts."""

    def __init__(
        self, folder: Path, *, questions: Questions | None = None, patience: Patience = PATIENCE
    ) -> None:
        self.folder = folder
        self.known = KnownHosts(folder / "known_hosts")
        self.pinned: list[HostKey] = []
        self.around = Circumstances(
            self.known,
            Keyring(questions or Answers()),
            pinned=self.pinned.append,
            folder=folder,
            patience=patience,
        )

    def made_key(self, name: str = "key") -> paramiko.PKey:
        """A new private key in the folder."""
        key = paramiko.ECDSAKey.generate()
        key.write_private_key_file(str(self.folder / name))
        return key

    async def connect(self, target: Target, name: str = "h1") -> SshRemote:
        """As an operator without ~/.ssh/config."""
        return await SshRemote.connect(name, target, self.around, lookup=lambda _: {})

    def use(self, target: Target, use: Use) -> None:
        """Connects, uses and closes; no thread of it is left then."""

        async def whole() -> None:
            remote = await self.connect(target)
            try:
                await use(remote)
            finally:
                await remote.close()

        asyncio.run(whole())
        left = [each.name for each in threading.enumerate() if each.name.startswith("ssh-")]
        assert left == []

    def try_out(self, target: Target) -> None:
        """Only connects."""

        async def nothing(_: SshRemote) -> None:
            pass

        self.use(target, nothing)


def impatient(folder: Path, **seconds: float) -> Client:
    """A client with a key, that waits in vain for no longer than this."""
    client = Client(folder, patience=replace(PATIENCE, **seconds))
    client.made_key()
    return client
