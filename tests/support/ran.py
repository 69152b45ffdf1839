"""How a command of a test ended."""

import subprocess
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Ran:
    """Its exit code, and what it said."""

    code: int
    out: str
    err: str

    @classmethod
    def of(cls, done: "subprocess.CompletedProcess[bytes]") -> Self:
        """A process that has ended."""
        return cls(done.returncode, done.stdout.decode(), done.stderr.decode())

    @property
    def text(self) -> str:
        """All of it."""
        return f"exit code {self.code}\n{self.out}\n{self.err}"
