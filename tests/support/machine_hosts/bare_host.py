"""What every bare host has in common, be it made of namespaces or a virtual machine."""

from collections.abc import Sequence
from typing import Protocol


class BareHost(Protocol):
    """A host that a test installs over SSH, and looks into by a back door."""

    @property
    def name(self) -> str:
        """As its hostname."""
        ...

    @property
    def address(self) -> str:
        """Where its SSH server listens."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        given: bytes = b"",
        timeout: float = ...,
        check: bool = True,
    ) -> str:
        """What a command says that runs as root in it; with `check` it has to succeed."""
        ...

    def start(self) -> None:
        """Boots it, with its disk as it was."""
        ...

    def stop(self) -> None:
        """Shuts it down in order."""
        ...

    def kill(self) -> None:
        """Power failure: nobody is told."""
        ...
