"""Our distribution, in a folder and a virtual environment of its version alone. It is made where it
is to lie, for environments cannot be moved, and counts only when its stamp is written.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from api.errors import Code, SwarmError
from machine.distribution import bundle
from machine.distribution.own import Distribution
from machine.layout import INCOMING, ROOT, stamp, version_folder
from machine.provisioning import Change, Kind
from machine.steps.seen import Seen
from machine.steps.step import COMMAND, Work

_BUILD = 3600.0  # an emulated processor takes a third of it
_PYTHON = "/usr/bin/python3"
"""The system's own, as the look sees it: whoever installs here may have another one before it."""
_PIP = (
    "-m",
    "pip",
    "install",
    "--progress-bar=off",
    "--no-input",
    "--no-cache-dir",
    "--disable-pip-version-check",
)


@dataclass(frozen=True)
class Environment:
    """This version is there and whole, made for the Python that the host has."""

    version: str
    distribution: Distribution | None  # None: this program cannot give it
    bundle: Path | None = None
    name: str = "version"
    paths: Sequence[str] = (ROOT,)

    def change(self, seen: Seen) -> Change | None:
        """Whether it is missing, or made for a Python that has gone."""
        if seen.has(self.version):
            return None
        made_for = seen.versions.get(self.version)
        why = f"it was made for Python {made_for}, there is {seen.python}" if made_for else ""
        return Change(
            Kind.CHANGE if made_for else Kind.ADD, self.name, f"install {self.version}", why
        )

    async def apply(self, work: Work) -> None:
        """Sends it there, and has pip install it with what it needs. One that runs loses its files
        meanwhile, and has to be restarted.
        """
        wheel = self._wheel()
        folder = version_folder(self.version)
        versions = tuple(dict.fromkeys((*work.book.versions, self.version)))
        book = replace(work.book, versions=versions)
        runs = book.running.get("version") == self.version
        await work.save(book.unsure() if runs else book)
        python, arch = await self._python(work)
        await work.run(["mkdir", "-p", "-m", "0755", ROOT])
        await work.run(["rm", "-rf", "--", folder, INCOMING], timeout=_BUILD)
        await work.run(["mkdir", "-m", "0700", INCOMING])
        remote_wheel = f"{INCOMING}/{wheel.name}"
        work.tell(f"sending {wheel.name}")
        await work.remote.upload(wheel, remote_wheel, mode=0o600)
        sources = await self._libraries(work, python, arch)
        work.tell("making the Python environment")
        await work.run([_PYTHON, "-m", "venv", "--clear", folder], timeout=_BUILD)
        work.tell("installing it, and its libraries")
        await self._pip(work, [*sources, remote_wheel])
        await work.run([f"{folder}/bin/swarmctl", "--version"], timeout=COMMAND)
        await work.run(["rm", "-rf", "--", INCOMING])
        await work.remote.write(stamp(self.version), f"{python}\n".encode(), mode=0o644)

    async def _pip(self, work: Work, what: list[str]) -> None:
        program = f"{version_folder(self.version)}/bin/python"
        try:
            await work.run([program, *_PIP, *what], timeout=_BUILD, tell=work.detail)
        except SwarmError as error:
            if error.code is Code.INTERNAL and self.bundle is None:
                error.remedy = (
                    "see that pip gets libraries there (network, /etc/pip.conf), or give --bundle"
                )
            raise

    def _wheel(self) -> Path:
        if self.distribution is not None and self.distribution.version == self.version:
            return self.distribution.path
        has = f"this swarmctl is {self.distribution.version}" if self.distribution else ""
        raise SwarmError(
            Code.NOT_FOUND,
            f"there is no distribution {self.version} to install",
            why=has,
            remedy="name its wheel with --distribution FILE, or upgrade the host",
        )

    async def _python(self, work: Work) -> tuple[str, str]:
        code = "import platform, sys; print('%d.%d' % sys.version_info[:2], platform.machine())"
        python, _, arch = (await work.run([_PYTHON, "-c", code])).text.partition(" ")
        return python, arch

    async def _libraries(self, work: Work, python: str, arch: str) -> list[str]:
        """Where pip finds libraries: in what is sent from the bundle, or as it is configured."""
        if self.bundle is None:
            return []
        with tempfile.TemporaryDirectory() as folder:
            key = bundle.target(python, arch)
            files = await asyncio.to_thread(bundle.extract, self.bundle, key, Path(folder))
            work.tell(f"sending {len(files)} libraries")
            for file in files:
                await work.remote.upload(file, f"{INCOMING}/{file.name}", mode=0o600)
        return ["--no-index", "--find-links", INCOMING]
