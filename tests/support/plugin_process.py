"""Starts the volume plugin of the tests, gives it orders and reads what it was asked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostkit.durable import replace

PROGRAM = Path(__file__).with_name("volume_plugin.py")


class PluginProcess:
    """One plugin, honest until it gets other orders. A context manager.

    `within` makes of a command one that runs elsewhere, as in a host of a lab.
    """

    def __init__(
        self,
        socket: Path,
        folder: Path,
        within: Callable[[list[str]], list[str]] = lambda command: command,
    ) -> None:
        self.socket = socket
        self.folder = folder
        self._within = within
        self._child: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.order()

    def __enter__(self) -> "PluginProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it listens; one that runs goes on."""
        if self._child is not None and self._child.poll() is None:
            return
        self.kill()
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(self.socket), str(self.folder)]
        self._child = subprocess.Popen(
            self._within(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "listening\n"

    def kill(self) -> None:
        """As a crash; its socket stays, and refuses."""
        if self._child is not None:
            self._child.communicate()
            self._child = None

    def order(self, **verbs: dict[str, Any]) -> None:
        """How it is to behave from now on, for each verb; honest in all others."""
        script = {f"VolumeDriver.{verb}": order for verb, order in verbs.items()}
        if "Activate" in verbs:
            script["Plugin.Activate"] = verbs["Activate"]
        replace(self.folder / "script.json", json.dumps(script).encode())

    def answers(self, verb: str, body: object, status: int = 200) -> None:
        """Lets it answer one verb with this, text as it is, all else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.order(**{verb: {"body": text, "status": status}})

    def calls(self) -> list[str]:
        """The verbs it was asked for, in order."""
        return [verb.rpartition(".")[2] for verb, _ in self.asked()]

    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        """All calls with what was said."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    def users(self, volume: str) -> list[str]:
        """The ids under which a volume is mounted."""
        folder = self.folder / "users" / volume
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
