"""Mounts a volume by the driver glusterfs, in the network where it is run, and uses it.

    python -m tests.support.gluster_client ROOT GROUP SERVERS SCRIPT

SCRIPT is for a shell, in the mount. What is left of the mount afterwards is its exit status.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from hostkit import mount
from hostkit.clock import boot, wall
from runtime.volume.driver import Place, Volume
from runtime.volume.glusterfs import GlusterDriver
from runtime.volume.guardians import Guardians
from tests.support.gluster import VOLUME

ID = "g" * 25


async def main(root: Path, group: str, servers: str, script: str) -> int:
    guardians, driver = Guardians(root / "g", group), GlusterDriver(root / "notes", wall)
    await driver.capabilities()
    target = guardians.folder(ID) / "data"
    link = await guardians.start(ID, target, until=boot() + 60, term=10.0)
    await asyncio.to_thread(target.mkdir)
    volume = Volume("v", {"servers": servers, "volname": VOLUME})
    place = Place(ID, target, link)
    await driver.create(volume)
    mounted = await driver.mount(volume, place)
    await asyncio.to_thread(subprocess.run, ["sh", "-ec", script], cwd=mounted.path, check=True)
    await link.leave()
    await driver.unmount(volume, place)
    await link.dismiss()
    guardians.forget(ID)
    await guardians.close()
    return len(mount.mount_points(root))


if __name__ == "__main__":
    root, group, servers, script = sys.argv[1:]
    sys.exit(asyncio.run(main(Path(root), group, servers, script)))
