"""A daemon that mounts a volume for a container and unmounts it, and is killed at a given effect.

    python -m tests.support.crashing_daemon ROOT GROUP EFFECT

An effect is what Python's audit events tell of: programs, sockets, folders and files. It prints
"mounted" once the volume is, and how many effects there were, if it was not killed before.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from hostkit.clock import boot
from runtime.volume.driver import Volume
from runtime.volume.wants import Lease, Want
from tests.support.plain_mount import VolumeBox

EVENTS = frozenset(
    {"subprocess.Popen", "socket.connect", "os.mkdir", "os.rmdir", "os.remove", "os.rename"}
    | {"shutil.rmtree"}
)
WANT = Want("swarm/v.1", "plain", Volume("data"), Lease(0.0, 60.0))


class Effects:
    """Counts them; dies at the last one."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self._last = last

    def __call__(self, event: str, _: Any) -> None:
        if event in EVENTS:
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


async def main(box: VolumeBox, effects: Effects) -> None:
    async with box.recovered() as host:
        sys.addaudithook(effects)
        lease = Lease(boot() + 60.0, 60.0)
        await host.use("c1", Want(WANT.key, WANT.driver, WANT.volume, lease))
        print("mounted", flush=True)
        await host.leave("c1")
        await host.forget("c1")
        print(effects.count, flush=True)


if __name__ == "__main__":
    asyncio.run(main(VolumeBox(Path(sys.argv[1]), sys.argv[2]), Effects(int(sys.argv[3]))))
