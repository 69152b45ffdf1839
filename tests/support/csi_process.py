"""Starts the CSI driver of the tests, gives it orders and reads what it was asked."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hostkit import mount
from hostkit.durable import replace

ROOT = Path(__file__).parents[2]
ALL = (
    "CREATE_DELETE_VOLUME",
    "PUBLISH_UNPUBLISH_VOLUME",
    "PUBLISH_READONLY",
    "LIST_VOLUMES",
    "GET_CAPACITY",
    "STAGE_UNSTAGE_VOLUME",
    "TOPOLOGY",
)
NAME = "csi.test"


class CsiProcess:
    """One driver, able and honest until it gets other orders.

    `within` makes of a command one that runs elsewhere, as in a host of a lab; `node` is what the
    driver calls the node there. Several may share a folder, and so a storage.
    """

    def __init__(
        self,
        socket: Path,
        folder: Path,
        within: Callable[[list[str]], list[str]] = lambda command: command,
        node: str = "node-1",
    ) -> None:
        self.socket = socket
        self.folder = folder
        self._within = within
        self._node = node
        self._child: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.order()

    def start(self) -> None:
        """Returns once it listens; one that runs goes on, one that crashes is seen to its end."""
        crashed = self.folder / f"{self._node}.crashed"
        if crashed.exists():
            self.kill()
            crashed.unlink()
        if self._child is not None and self._child.poll() is None:
            return
        self.kill()
        program = [sys.executable, "-m", "tests.support.csi_driver"]
        command = ["env", f"PYTHONPATH={ROOT}", *program]
        command += [str(self.socket), str(self.folder), self._node]
        self._child = subprocess.Popen(
            self._within(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "listening\n"

    def kill(self) -> None:
        """As a crash; its mounts and its socket stay."""
        if self._child is not None:
            self._child.communicate()
            self._child = None

    def order(
        self,
        calls: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        without: tuple[str, ...] = (),
        also: tuple[str, ...] = (),
    ) -> None:
        """How it is to behave from now on; what it was asked before is forgotten."""
        capabilities = [name for name in (*ALL, *also) if name not in without]
        script = {"capabilities": capabilities, **(calls or {})}
        replace(self.folder / "script.json", json.dumps(script).encode())
        (self.folder / "calls").write_text("")

    def calls(self) -> list[str]:
        """What it was asked for since the last order, in order, questions left out."""
        questions = ("Get", "Probe", "ControllerGet", "NodeGet")
        return [call for call, _ in self.asked() if not call.startswith(questions)]

    def asked(self, call: str = "") -> list[tuple[str, dict[str, Any]]]:
        """All calls since the last order, or those of one name, with what was said."""
        lines = (self.folder / "calls").read_text().splitlines()
        found: list[tuple[str, dict[str, Any]]] = [tuple(json.loads(line)) for line in lines]
        return [each for each in found if not call or each[0] == call]

    def open_to(self, handle: str) -> list[str]:
        """The nodes that the storage lets in."""
        path = self.folder / f"{handle}.open"
        return json.loads(path.read_text()) if path.exists() else []


@contextlib.contextmanager
def csi_process(folder: Path) -> Iterator[CsiProcess]:
    """A driver that listens below a folder; whatever is mounted there is unmounted afterwards."""
    driver = CsiProcess(folder / "csi" / f"{NAME}.sock", folder / "driver")
    try:
        driver.start()
        yield driver
    finally:
        driver.kill()
        for point in mount.mount_points(folder):
            mount.unmount(point)
