"""The record of a lab: what it consists of, written before any of it is made.

One JSON file per lab, replaced as a whole. What runs and what does not is never recorded: the
kernel knows. Whoever changes a record holds the lock of its base directory.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from machine.drivers.lab.naming import LabPaths, check_base, check_lab


@dataclass(frozen=True)
class HostRecord:
    """One host: `command` is the template of its daemon's argument list (command.py).

    `disk`: MiB of its own disk, 0 if it has none.
    """

    name: str
    address: str
    command: tuple[str, ...]
    disk: int = 0


@dataclass(frozen=True)
class LabRecord:
    """One lab: `subnet` is the third byte of its 10.77.x.0/24; `expose` is ADDR:PORT or empty."""

    name: str
    subnet: int
    command: tuple[str, ...]  # for hosts that are yet to be created
    expose: str = ""
    hosts: tuple[HostRecord, ...] = ()
    disk: int = 0  # MiB, for hosts that are yet to be created

    def host(self, name: str) -> HostRecord:
        """The host of that name; NOT_FOUND if the lab has none."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts) or "none"
        raise SwarmError(
            Code.NOT_FOUND, f"lab {self.name} has no host {name}", why=f"its hosts are: {names}"
        )


def load(paths: LabPaths) -> LabRecord | None:
    """The lab's record; None if there is no such lab, or a crash came before its record."""
    try:
        content = json.loads(paths.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SwarmError(Code.INTERNAL, f"{paths.record} is damaged", why=str(error)) from None
    hosts = tuple(
        HostRecord(host["name"], host["address"], tuple(host["command"]), host["disk"])
        for host in content.pop("hosts")
    )
    return LabRecord(**{**content, "command": tuple(content["command"]), "hosts": hosts})


def save(paths: LabPaths, record: LabRecord) -> None:
    """Write the record; a crash leaves the old one or the new one."""
    paths.directory.mkdir(mode=0o755, exist_ok=True)
    write_atomically(paths.record, json.dumps(asdict(record), indent=2) + "\n")


def labs(base: Path) -> list[str]:
    """The names of all labs kept in `base`, half-made ones too."""
    if not base.is_dir():
        return []
    return sorted(entry.name for entry in base.iterdir() if entry.name[0] != ".")


def lab_paths(name: str, base: Path) -> LabPaths:
    """The checked paths of lab `name` in `base`."""
    return LabPaths(check_base(base), check_lab(name))


def write_atomically(path: Path, text: str) -> None:
    """Replace the file at `path`, or make it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
