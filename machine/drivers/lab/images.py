"""The demo images of a lab, made of Debian's static busybox, and pushed into the lab's registry.

    python -m machine.drivers.lab.images REGISTRY

demo/web:1 and demo/web:2 answer on port 80 with their version and their host's name, and end at
once on SIGTERM; demo/tools:1 is a shell with busybox's commands; demo/checked:1 is the same with a
health check, which succeeds while there is a file /well/up. It runs inside the registry host:
nobody outside the lab reaches the registry.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from hostkit import clock, process
from machine.drivers.lab import naming
from machine.drivers.lab.host import LabHost
from runtime.image.build import ImageSource, build_layout
from runtime.image.endpoint import RegistryOptions
from runtime.image.registry import push

_TIMEOUT = 60.0
_ENVIRONMENT = "PATH=/bin"

# A shell as PID 1 ignores SIGTERM unless it traps it, and traps only run between its commands:
# the server is therefore waited for, not called.
_SERVE = """\
#!/bin/sh
trap 'exit 0' TERM INT
httpd -f -p "${PORT:-80}" -h /www &
wait $!
"""

# Asked for at each request, since the file system of a container may be read-only.
_PAGE = """\
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "web $(cat /etc/version) on $(hostname)"
"""


_SHELL = {"Cmd": ["/bin/sh"], "Env": [_ENVIRONMENT]}
_CHECK = {
    "Test": ["CMD-SHELL", "test -e /well/up || { echo it is not well; exit 1; }"],
    "Interval": 100_000_000,
    "Retries": 1_000,
}


@dataclass(frozen=True)
class DemoImage:
    """One image: files on top of busybox, by their path, and its OCI configuration."""

    name: str
    files: Mapping[str, str]
    config: Mapping[str, Any]


def demo_images() -> list[DemoImage]:
    """All of them."""
    return [
        _web(1),
        _web(2),
        DemoImage("demo/tools:1", {}, _SHELL),
        DemoImage("demo/checked:1", {}, _SHELL | {"Healthcheck": _CHECK}),
    ]


async def publish_from(host: LabHost) -> None:
    """Have a registry host build the images and push them into its own registry."""
    where = f"{naming.REGISTRY}:{naming.REGISTRY_PORT}"
    argv = [sys.executable, "-m", "machine.drivers.lab.images", where]
    done = await host.run(argv, timeout=_TIMEOUT, check=False)
    if done.code != 0:
        why = done.err.decode(errors="replace").strip()
        raise SwarmError(Code.INTERNAL, "the lab's demo images could not be made", why=why)


async def publish(registry: str) -> None:
    """Build the images and push them to `registry`, which speaks plain HTTP."""
    with tempfile.TemporaryDirectory(prefix="demo-") as scratch:
        base = Path(scratch, "busybox")
        await _busybox_tree(base)
        for number, image in enumerate(demo_images()):
            place = Path(scratch, str(number))
            await asyncio.to_thread(write_tree, place / "tree", image.files)
            source = ImageSource((base, place / "tree"), image.config)
            reference = f"{registry}/{image.name}"
            await build_layout(place / "layout", [source], reference=reference)
            await push(
                place / "layout",
                reference,
                options=RegistryOptions(insecure=(registry,)),
                clock=clock.monotonic,
            )


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """A directory tree of text files; scripts, known by their first line, become executable."""
    root.mkdir(mode=0o755, parents=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)


def _web(version: int) -> DemoImage:
    files = {
        "bin/serve": _SERVE,
        "www/cgi-bin/index.cgi": _PAGE,
        "etc/version": f"{version}\n",
    }
    config = {
        "Cmd": ["/bin/serve"],
        "Env": [_ENVIRONMENT],
        "ExposedPorts": {"80/tcp": {}},
    }
    return DemoImage(f"demo/web:{version}", files, config)


async def _busybox_tree(root: Path) -> None:
    """The lowest layer: busybox under all its names, and the files that programs expect."""
    program = shutil.which("busybox")
    if program is None:
        raise _no_busybox("it is not installed")
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    }
    await asyncio.to_thread(write_tree, root, files)
    for name in ("bin", "root", "tmp"):
        (root / name).mkdir(mode=0o755)
    (root / "tmp").chmod(0o1777)
    await asyncio.to_thread(shutil.copyfile, program, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    # Run where nothing else is: a busybox that needs libraries fails here, not in the containers.
    argv = ["chroot", str(root), "/bin/busybox", "--list"]
    listing = await process.run(argv, timeout=_TIMEOUT, check=False)
    if listing.code != 0:
        raise _no_busybox("it is not statically linked")
    for applet in listing.text.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")


def _no_busybox(why: str) -> SwarmError:
    return SwarmError(
        Code.UNSUPPORTED,
        "there is no busybox to make images of",
        why=why,
        remedy="apt-get install busybox-static",
    )


def main() -> int:
    """The whole program; see the module."""
    try:
        asyncio.run(publish(sys.argv[1]))
    except SwarmError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
