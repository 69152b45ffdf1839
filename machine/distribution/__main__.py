"""`make dist`: our wheel and the bundle of what it needs, for every Python and machine we serve.

Libraries come from the index that pip is configured with here, in the releases that this checkout
runs with.
"""

import sys
import tempfile
from pathlib import Path

from api.errors import SwarmError
from machine.distribution import bundle, libraries, own
from machine.preflight import ARCHITECTURES, PYTHONS


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ours = own.packed(folder)
    print(ours.path)
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        wheels = {}
        for arch in ARCHITECTURES:
            for minor in PYTHONS:
                python = f"3.{minor}"
                key = bundle.target(python, arch)
                print(f"libraries for {key}", file=sys.stderr)
                place = Path(downloads) / key
                place.mkdir()
                wheels[key] = libraries.download(ours.path, python, arch, place)
        path = folder / f"swarmctl-bundle-{ours.version}.tar"
        bundle.write(path, ours.version, wheels)
        print(path)


if __name__ == "__main__":
    try:
        _make(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    except SwarmError as error:
        sys.exit(f"make dist: {error}")
