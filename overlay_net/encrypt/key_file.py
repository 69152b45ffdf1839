"""A node's WireGuard keys on its disk. Decides nothing of when which.

In clear, readable by root alone: tunnels have to come back after a reboot with nobody there to type
a secret, and what the keys protect is what this host's tasks say. The lock of managers
(`swarm update --autolock`) does not cover them.
"""

import json
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.durable import replace
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
        replace(self._path, json.dumps(content).encode("ascii"))

    def remove(self) -> None:
        """No error if there is none."""
        self._path.unlink(missing_ok=True)
