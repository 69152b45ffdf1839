"""The registry host of a lab: Debian's docker-registry, over plain HTTP, its images on its disk."""

import asyncio
import contextlib
import shutil
import socket

from api.errors import Code, SwarmError
from hostkit import netns
from machine.drivers.lab import naming
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.naming import HostPaths

PROGRAM = "docker-registry"
COMMAND = (PROGRAM, "serve", "{state}/registry.yml")
_STEP = 0.05

_CONFIGURATION = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: "0.0.0.0:{port}", relativeurls: true}}
"""


def check_installed() -> None:
    """UNSUPPORTED, with the remedy, if this machine has no registry program."""
    if shutil.which(PROGRAM) is None:
        raise SwarmError(
            Code.UNSUPPORTED,
            "this machine has no registry for the lab",
            why=f"{PROGRAM} is not installed",
            remedy=f"apt-get install {PROGRAM}, or use --no-registry",
        )


def configure(paths: HostPaths) -> None:
    """Write the registry's configuration onto the host's disk, before its first start."""
    paths.state.mkdir(mode=0o711, parents=True, exist_ok=True)
    text = _CONFIGURATION.format(storage=paths.state / "images", port=naming.REGISTRY_PORT)
    (paths.state / "registry.yml").write_text(text, encoding="ascii")


async def wait_until_it_answers(host: LabHost, timeout: float = 60.0) -> None:
    """Until the registry takes connections; its last words if it ended instead."""

    def dial() -> None:
        socket.create_connection((host.address, naming.REGISTRY_PORT), timeout=1.0).close()

    target = netns.path(host.paths.namespace)
    try:
        async with asyncio.timeout(timeout):
            while True:
                with contextlib.suppress(OSError):
                    return await asyncio.to_thread(netns.call_in, target, dial)
                if (await host.daemon()).pid is None:
                    break
                await asyncio.sleep(_STEP)
    except TimeoutError:
        pass
    raise SwarmError(Code.UNAVAILABLE, "the lab's registry did not start", why=host.last_words())
