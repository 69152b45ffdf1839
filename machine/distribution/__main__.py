"""`make dist`: our wheel and the bundle of what it needs, for every Python and machine we serve.

Libraries come from the index that pip is configured with here, in the releases that this checkout
runs with.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from api.errors import SwarmError
from hostkit import process
from machine.distribution import bundle, own
from machine.preflight import ARCHITECTURES, PYTHONS

_TIMEOUT = 900.0
_GLIBC = range(36, 4, -1)
"""Minor versions of the C library, 2.36 being Debian 12's, whose wheels run there."""


def _download(wheel: Path, minor: int, arch: str, folder: Path) -> list[Path]:
    """The files that a host of that kind needs besides our wheel."""
    platforms = [f"manylinux_2_{glibc}_{arch}" for glibc in _GLIBC] + [f"manylinux2014_{arch}"]
    argv = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    argv += ["--only-binary=:all:", "--implementation=cp", f"--python-version=3.{minor}"]
    argv += [f"--abi=cp3{minor}", "--abi=abi3", "--abi=none"]
    argv += [f"--platform={platform}" for platform in platforms]
    asyncio.run(process.run([*argv, "--dest", str(folder), str(wheel)], timeout=_TIMEOUT))
    return sorted(path for path in folder.glob("*.whl") if path.name != wheel.name)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ours = own.own(folder)
    print(ours.path)
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        wheels = {}
        for arch in ARCHITECTURES:
            for minor in PYTHONS:
                key = bundle.target(f"3.{minor}", arch)
                print(f"libraries for {key}", file=sys.stderr)
                place = Path(downloads) / key
                place.mkdir()
                wheels[key] = _download(ours.path, minor, arch, place)
        path = folder / f"swarmctl-bundle-{ours.version}.tar"
        bundle.write(path, ours.version, wheels)
        print(path)


if __name__ == "__main__":
    try:
        _make(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    except SwarmError as error:
        sys.exit(f"make dist: {error}")
