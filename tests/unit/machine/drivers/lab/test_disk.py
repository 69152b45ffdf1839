"""The disk of a host of a lab, by itself: what comes of it while others hold it."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from machine.drivers.lab import disk
from machine.drivers.lab.naming import HostPaths

pytestmark = pytest.mark.root

HOLD = ("unshare", "--mount", "sh", "-c", "echo held; sleep 1")


def test_a_disk_that_failed_is_whole_again_once_a_copy_of_its_mount_is_gone(tmp_path: Path) -> None:
    """As a host has one that boots meanwhile, be it of another lab."""
    paths = HostPaths(tmp_path, "lab", "m1")
    paths.state.mkdir(parents=True)
    asyncio.run(disk.attach(paths, disk.MINIMUM))
    try:
        asyncio.run(disk.fail(paths))
        with subprocess.Popen(HOLD, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            asyncio.run(disk.attach(paths, disk.MINIMUM))
        (paths.state / "file").write_text("written")
    finally:
        asyncio.run(disk.detach(paths))
