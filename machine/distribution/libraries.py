"""The libraries that a kind of host needs besides our wheel, downloaded here for there: from the
index that pip is configured with on this machine.
"""

import asyncio
import sys
from pathlib import Path

from hostkit import process

_TIMEOUT = 900.0
_GLIBC = range(36, 4, -1)
"""Minor versions of the C library, 2.36 being Debian 12's, whose wheels run there."""


def download(wheel: Path, python: str, arch: str, folder: Path) -> list[Path]:
    """The files that hosts of `arch` need for that wheel. `python`: theirs, as 3.11."""
    platforms = [f"manylinux_2_{glibc}_{arch}" for glibc in _GLIBC] + [f"manylinux2014_{arch}"]
    argv = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    argv += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    argv += [f"--abi=cp{python.replace('.', '')}", "--abi=abi3", "--abi=none"]
    argv += [f"--platform={platform}" for platform in platforms]
    asyncio.run(process.run([*argv, "--dest", str(folder), str(wheel)], timeout=_TIMEOUT))
    return sorted(path for path in folder.glob("*.whl") if path.name != wheel.name)
