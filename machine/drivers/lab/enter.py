"""Argument lists that run a command inside a host, in all its namespaces and its cgroup. Pure.

The command runs with the host's environment; it ends when the host does.
"""

from collections.abc import Sequence
from pathlib import Path

# A fixed text; everything variable is an argument. Joining must come before the namespaces are
# entered, and in the process itself, which a caller cannot do for a child of another program.
_JOIN = """\
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"
"""


def argv(pid: int, leaves: Sequence[Path], command: Sequence[str]) -> list[str]:
    """To be executed outside: `command` in the host whose PID 1 is `pid` out here."""
    return [
        "/bin/sh",
        "-c",
        _JOIN,
        "sh",
        *(str(leaf) for leaf in leaves),
        "--",
        "nsenter",
        f"--target={pid}",
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--",
        *command,
    ]


def environment(programs: Path, socket: Path) -> dict[str, str]:
    """What a host's processes start with; `socket` is that of its swarmd, for swarmctl."""
    return {
        "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "SWARM_HOST": f"unix://{socket}",
    }
