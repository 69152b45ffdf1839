"""Goes back to the version that ran before: its link, and the settings and unit it ran with."""

import hashlib
from dataclasses import replace

from api.errors import Code, SwarmError
from machine.layout import CURRENT, SERVICE, SETTINGS, UNIT, kept
from machine.manifest import Entry
from machine.steps.places import point
from machine.steps.service import healthy
from machine.steps.settings import folders_of
from machine.steps.step import Work

_RESTART = 90.0


async def go_back(work: Work) -> str:
    """Makes the previous version the present one; returns it. REFUSED if there is none."""
    book = work.book
    version = book.previous
    if not version or not work.seen.has(version):
        raise SwarmError(
            Code.REFUSED,
            f"{work.remote.name} has no version to go back to",
            why=f"{version} is not whole, or made for another Python"
            if version
            else f"only {book.version or 'none'} was there",
            remedy="install the version you want with --distribution FILE",
        )
    work.tell(f"going back from {book.version} to {version}")
    await work.begin("rollback")
    await work.save(work.book.unsure())  # until it answers
    settings, unit = [await _put_back(work, version, path) for path in (SETTINGS, UNIT)]
    await point(work, CURRENT, version)
    await work.run(["systemctl", "daemon-reload"], timeout=_RESTART)
    await work.run(["systemctl", "restart", SERVICE], timeout=_RESTART)
    await healthy(work, version, folders_of(settings).socket)
    running = {
        "version": version,
        "unit": hashlib.sha256(unit).hexdigest(),
        "settings": hashlib.sha256(settings).hexdigest(),
    }
    entry = Entry("rollback", f"{book.version} back to {version}", work.who, work.clock())
    swapped = replace(work.book, version=version, previous=book.before(version), running=running)
    await work.save(swapped.done(entry))
    return version


async def _put_back(work: Work, version: str, path: str) -> bytes:
    """What is at a path from now on: what the version ran with, or, if that was not kept, what is
    there.
    """
    content = await work.remote.read(f"{kept(version)}/{path.rpartition('/')[2]}")
    if content is None:
        return await work.remote.read(path) or b""
    await work.remote.write(path, content, mode=0o644)
    return content
