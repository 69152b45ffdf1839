"""What only the operator knows: asked when it is needed, kept by nobody here.

The calls come from threads, one at a time for each Keyring, and may take as long as a person does.
"""

from pathlib import Path
from typing import Protocol


class Questions(Protocol):
    """Asks the operator. None: no answer is to be had, as in a script."""

    def passphrase(self, key: Path) -> str | None:
        """What opens the private key in that file."""
        ...

    def sudo_password(self, machine: str, user: str) -> str | None:
        """What sudo asks that user of that machine for."""
        ...


class NoAnswers:
    """Questions, where nobody is there to be asked."""

    def passphrase(self, key: Path) -> str | None:
        """See Questions."""
        return None

    def sudo_password(self, machine: str, user: str) -> str | None:
        """See Questions."""
        return None
