"""A swarm that `machine apply` makes of bare hosts, as an operator on the lab's network does it."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from machine.distribution import wheel
from machine.distribution.own import pins, read_parts
from tests.support.machine_hosts.bare_host import BareHost
from tests.support.machine_hosts.lab import MachineLab
from tests.support.ran import Ran

APPLY = 280.0
PORT = 8080


class Operator:
    """Has a folder of his own, with his store and the cluster file."""

    def __init__(self, lab: MachineLab, folder: Path) -> None:
        self._lab = lab
        self.folder = folder
        self.file = folder / "cluster.yml"

    def wants(self, hosts: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        """Writes the cluster file."""
        document = {"name": "test", "ssh": {"key": str(self._lab.key)}, "hosts": hosts, **more}
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, *words: str, timeout: float = APPLY) -> Ran:
        """`swarmctl machine` in the lab's network."""
        done = self._lab.command(
            self.command(*words), timeout=timeout, environment=self.environment()
        )
        return Ran.of(done)

    def apply(self, *words: str, verb: str = "apply") -> Ran:
        """`machine apply` of the file, with no question asked."""
        return self.run(verb, "-f", str(self.file), "--yes", "--progress", "plain", *words)

    def command(self, *words: str) -> list[str]:
        """The words of `swarmctl machine`."""
        return [sys.executable, "-m", "swarmctl", "machine", *words]

    def environment(self) -> dict[str, str]:
        """His own, apart from that of whoever runs the tests."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own = {"HOME": str(self.folder), "SWARM_MACHINE_STORAGE_PATH": str(self.folder / "store")}
        return {**kept, **own, "PYTHONPATH": str(Path(__file__).parents[2])}


def swarmctl(host: BareHost, *words: str, given: bytes = b"", check: bool = True) -> str:
    """What swarmctl says on a host."""
    return host.run(["/usr/local/bin/swarmctl", *words], given=given, check=check)


def nodes(host: BareHost) -> dict[str, Mapping[str, str]]:
    """The rows of `node ls`, by hostname."""
    rows = map(json.loads, swarmctl(host, "node", "ls", "--format", "json").splitlines())
    return {row["Hostname"]: row for row in rows}


def another_wheel(folder: Path, name: str, changed: Mapping[str, bytes]) -> Path:
    """A distribution that differs from this one in some files; its path tells its version."""
    parts = read_parts()
    other = wheel.Parts({**parts.files, **changed}, parts.metadata, parts.others)
    version = wheel.version_of(other)
    path = folder / name / wheel.file_name(version)
    path.parent.mkdir()
    path.write_bytes(wheel.pack(other, version, pins()))
    return path


@dataclass
class Load:
    """Requests, one after another, as long as a block lasts."""

    url: str
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def _ask(self) -> None:
        while not self._end.wait(0.05):
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:  # noqa: S310 - http
                    answer.read()
                self.answers += 1
            except OSError as error:
                self.failures.append(str(error))

    @contextmanager
    def running(self, lab: MachineLab) -> Iterator["Load"]:
        """From the operator's address."""
        thread = threading.Thread(target=self._ask)
        lab.call(thread.start)
        try:
            yield self
        finally:
            self._end.set()
            thread.join()


def listing(host: BareHost, folders: Sequence[str]) -> str:
    """Every file of some folders, with mode, owner and content."""
    script = (
        "find " + " ".join(folders) + " -xdev ! -type s -printf '%p %y %m %u:%g %l\\n' | sort;"
        "find " + " ".join(folders) + " -xdev -type f -exec sha256sum {} + | sort"
    )
    return host.run(["sh", "-c", script])


def started(command: Sequence[str], lab: MachineLab, env: Mapping[str, str]) -> Any:
    """A program in the lab's network that goes on; the caller ends it."""
    words = ["nsenter", f"--net={lab.namespace}", "--", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, env=dict(env), stdout=pipe, stderr=pipe, start_new_session=True)
