"""Folders within folders, deeper than a path may be long."""

import os
from pathlib import Path


def make_deep(top: Path, depth: int) -> None:
    """Makes `top`, and `depth` folders below it, each in the one before."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
