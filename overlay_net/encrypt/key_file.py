"""A node's WireGuard keys on its disk. Decides nothing of when which.

In clear, readable by root alone: tunnels have to come back after a reboot with nobody there to type
a secret, and what the keys protect is what this host's tasks say. The lock of managers
(`swarm update --autolock`) does not cover them.
"""

import json
import os
from pathlib import Path

from api.errors import Code, SwarmError
from overlay_net.encrypt.keys import Keys, key_pair

_LARGEST = 4096


class KeyFile:
    """`path`: in a folder that only root can enter."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Keys | None:
        """What was saved; None if nothing was. REFUSED if the file is damaged."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_LARGEST))
            coming = found["coming"]
            return Keys(
                current=key_pair(bytes.fromhex(found["current"])),
                made_at=float(found["made_at"]),
                chance=float(found["chance"]),
                coming=key_pair(bytes.fromhex(coming)) if coming else None,
                round=int(found["round"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            # Without the cause, which may quote what is in the file.
            raise SwarmError(
                Code.REFUSED, f"{self._path} is damaged", remedy="delete it: a new key is made then"
            ) from None

    def save(self, keys: Keys) -> None:
        """Durably, and all or nothing. OSError leaves what was saved before."""
        content = {
            "current": keys.current.private.hex(),
            "coming": keys.coming.private.hex() if keys.coming else "",
            "made_at": keys.made_at,
            "chance": keys.chance,
            "round": keys.round,
        }
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.unlink(missing_ok=True)  # of a write that was cut off
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(fresh, flags, 0o600), "w", encoding="ascii") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self) -> None:
        """No error if there is none."""
        self._path.unlink(missing_ok=True)
