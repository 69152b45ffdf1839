"""Images made of busybox, an archive of them, and a real registry to push them to."""

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from hostkit import clock
from runtime.image import build, registry
from runtime.image.build import Compression, ImageSource
from runtime.image.registry import RegistryOptions
from tests.support.ports import free_pair

BUSYBOX = Path("/usr/bin/busybox")
REGISTRY = "/usr/bin/docker-registry"
APPLETS = ("sh", "cat", "echo", "httpd", "ls", "nc", "sleep", "true", "wget")


def busybox_tree(directory: Path, applets: tuple[str, ...] = APPLETS) -> Path:
    """A root file system of busybox under the names `applets`, with the usual directories."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    shutil.copy(BUSYBOX, programs / "busybox")
    for name in applets:
        (programs / name).symlink_to("busybox")
    for name in ("dev", "etc", "proc", "sys", "root", "var"):
        (directory / name).mkdir()
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o1777)
    (directory / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\n")
    return directory


def file_tree(directory: Path, files: Mapping[str, str]) -> Path:
    """A tree of these files, by relative path."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def busybox_source(
    directory: Path, *, files: Mapping[str, str] | None = None, **config: Any
) -> ImageSource:
    """A busybox image made in `directory`, with `files` in a second layer; `config` as in OCI."""
    layers = [busybox_tree(directory / "base")]
    if files:
        layers.append(file_tree(directory / "files", files))
    return ImageSource(tuple(layers), {"Cmd": ["sh"], "Env": ["PATH=/bin"], **config})


def busybox_archive(directory: Path, reference: str = "busybox:1", **config: Any) -> Path:
    """An OCI-layout tar of a busybox image, for `image load`."""
    layout = directory / "layout"
    source = busybox_source(directory / "trees", **config)
    archive = directory / "busybox.tar"
    asyncio.run(build.build_layout(layout, [source], reference=reference))
    archive_layout(layout, archive)
    return archive


def archive_layout(layout: Path, archive: Path) -> None:
    """Packs an OCI layout into one tar."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(layout.iterdir()):
            tar.add(path, path.name)


@dataclasses.dataclass(frozen=True)
class RegistryProcess:
    """A running registry at `address` (host:port), which keeps its blobs in `directory`."""

    address: str
    directory: Path

    def reference(self, name: str) -> str:
        """The full name of an image there."""
        return f"{self.address}/{name}"

    async def push(
        self,
        workspace: Path,
        name: str,
        *images: ImageSource,
        options: RegistryOptions = RegistryOptions(),  # noqa: B008  # immutable
    ) -> str:
        """Builds `images` in the new directory `workspace`, pushes them as `name`; the digest."""
        reference = self.reference(name)
        digest = await build.build_layout(workspace, images, reference=reference)
        pushed = await registry.push(workspace, reference, options=options, clock=clock.wall)
        assert pushed == digest
        return digest


@contextlib.contextmanager
def running_registry(
    directory: Path, *, tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1"
) -> Iterator[RegistryProcess]:
    """Debian's docker-registry on a free port; `tls`: certificate and key."""
    if not Path(REGISTRY).exists():
        pytest.skip(f"{REGISTRY} is not installed (Debian: docker-registry)")
    directory.mkdir(parents=True, exist_ok=True)
    port = free_pair(host)
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '{host}:{port}'" + (_tls_lines(*tls) if tls else "") + "}",
        "log: {level: error}",
    ]
    (directory / "registry.yml").write_text("\n".join(lines))
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [REGISTRY, "serve", directory / "registry.yml"], stdout=log, stderr=log
        )
    try:
        _wait_until_ready(process, f"{'https' if tls else 'http'}://{host}:{port}/v2/")
        yield RegistryProcess(f"{host}:{port}", directory)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _tls_lines(certificate: Path, key: Path) -> str:
    return f", tls: {{certificate: {certificate}, key: {key}}}"


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the registry ended with {process.returncode}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, verify=False, trust_env=False).is_success:  # noqa: S501
                return
        time.sleep(0.05)
    raise TimeoutError(f"the registry does not answer on {url}")


def tree_of(directory: Path) -> dict[str, tuple[Any, ...]]:
    """What is below `directory`: kind and mode, owner, and content or target, by relative path."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content: str | bytes | int = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        else:
            content = status.st_rdev
        found[str(path.relative_to(directory))] = (
            oct(status.st_mode), status.st_uid, status.st_gid, content
        )  # fmt: skip
    return found


__all__ = [
    "Compression",
    "ImageSource",
    "RegistryProcess",
    "busybox_archive",
    "busybox_source",
    "busybox_tree",
    "file_tree",
    "running_registry",
    "tree_of",
]
