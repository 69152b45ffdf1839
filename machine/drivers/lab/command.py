"""The command line of a host's daemon, with blanks for what differs from host to host. Pure.

`{name}`, `{address}`, `{settings}`, `{state}`, `{run}` and `{cgroup}` are filled in; other braces
stay.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from machine.drivers.lab import naming
from machine.drivers.lab.naming import HostPaths

_BLANK = re.compile(r"\{(name|address|settings|state|run|cgroup)\}")


def swarmd(programs: Path, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """The template for swarmd; `programs` is the directory that holds it."""
    registry = f"{naming.REGISTRY}:{naming.REGISTRY_PORT}"
    return (*_anywhere(programs), "--insecure-registry", registry, *extra)


def with_settings(programs: Path) -> tuple[str, ...]:
    """The template for swarmd in a host that has settings of its own, in a file."""
    return (*_anywhere(programs), "--config", "{settings}")


def _anywhere(programs: Path) -> tuple[str, ...]:
    return (
        str(programs / "swarmd"),
        "--state-dir",
        "{state}",
        "--run-dir",
        "{run}",
        "--cgroup-parent",
        # Below the host's own group: what the daemon puts beside its parent is still the host's.
        "{cgroup}/swarm",
    )


def filled(template: Sequence[str], paths: HostPaths, address: str) -> list[str]:
    """The argument list for one host."""
    values = {
        "name": paths.host,
        "address": address,
        "settings": str(paths.settings),
        "state": str(paths.state),
        "run": str(paths.run),
        "cgroup": paths.cgroup,
    }
    return [_BLANK.sub(lambda match: values[match[1]], part) for part in template]
