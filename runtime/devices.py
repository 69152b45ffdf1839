"""Lets a container use block devices of the host that are bound into it."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError


def allow(config: dict[str, Any], devices: Iterable[Path]) -> None:
    """Adds the rules to a runtime configuration; what is mounted read-only is only read."""
    for device in devices:
        status = device.stat()
        if not stat.S_ISBLK(status.st_mode):
            raise SwarmError(Code.REFUSED, f"{device} is no block device")
        options = next(m["options"] for m in config["mounts"] if m["source"] == str(device))
        only_reads = {"ro", "rro"} & set(options)
        config["linux"]["resources"]["devices"].append(
            {
                "allow": True,
                "type": "b",
                "major": os.major(status.st_rdev),
                "minor": os.minor(status.st_rdev),
                "access": "r" if only_reads else "rw",
            }
        )
