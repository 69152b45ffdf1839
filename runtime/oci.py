"""Calls of the OCI runtime, crun or runc. Blocking: for worker threads.

A failed call is an OciError with the last line that the runtime said.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT = 60.0
_GONE = ("does not exist", "no such file or directory", "not exist")


class OciError(Exception):
    """The runtime refused; the text is its own."""


@dataclass(frozen=True)
class OciRuntime:
    """One runtime as it was found to work on this host."""

    binary: Path  # the runtime, or the wrapper that makes it work here
    kind: str  # "crun" or "runc"
    version: str  # "1.8.1"
    root: Path  # where it keeps its state
    takes_bpf: bool = False  # seccomp programs by annotation

    @property
    def global_arguments(self) -> list[str]:
        """What stands before every verb."""
        found = ["--root", str(self.root)]
        if self.kind == "crun":  # the only manager runc has without systemd
            found += ["--cgroup-manager", "cgroupfs"]
        return found

    def start(self, id: str) -> None:
        """Lets the waiting process of a created container go."""
        self.call("start", id)

    def delete(self, id: str) -> None:
        """Kills and deletes the container with its cgroup; silent if it is not there."""
        try:
            self.call("delete", "--force", id)
        except OciError as error:
            if not any(text in str(error).lower() for text in _GONE):
                raise

    def status(self, id: str) -> str:
        """The runtime's word for its state, as "running"; empty if it knows no such container."""
        try:
            found = json.loads(self.call("state", id))
        except (OciError, ValueError):
            return ""
        status: str = found.get("status", "")
        return status

    def call(self, *arguments: str) -> str:
        """One call; its standard output."""
        command = [str(self.binary), *self.global_arguments, *arguments]
        try:
            done = subprocess.run(  # noqa: PLW1510
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise OciError(f"{self.kind} {arguments[0]} took over {_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise OciError(f"{self.binary} cannot be run: {error.strerror}") from None
        if done.returncode != 0:
            raise OciError(last_words(done.stderr.decode(errors="replace")) or self.kind)
        return done.stdout.decode(errors="replace")


def last_words(text: str) -> str:
    """The last line that a runtime said, without its time stamps and level."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    line = lines[-1]
    if line.startswith("{"):
        try:
            return str(json.loads(line)["msg"])
        except (ValueError, KeyError):
            return line
    if 'msg="' in line:  # logrus, as runc writes
        line = line.partition('msg="')[2].rpartition('"')[0].replace('\\"', '"')
    first, _, rest = line.partition(": ")
    return rest if first.endswith("Z") and "T" in first else line
