"""Takes from a host what was brought there, by its manifest: files that were replaced come back,
packages and folders that were there before stay. May be cut off and done again: the manifest goes
last.
"""

from functools import cache
from importlib.resources import files

from api.errors import Code, SwarmError
from machine import manifest
from machine.layout import CURRENT, INCOMING, SERVICE, SETTINGS, UNIT, version_folder
from machine.manifest import Manifest
from machine.steps.packages import APT, lost, mended
from machine.steps.places import LINK, point
from machine.steps.settings import Folders, folders_of
from machine.steps.state import leave, swarm_state
from machine.steps.step import Work

_TAKE_DOWN = 180.0
_PURGE = 900.0
_FORGET = 'rm -rf -- "$1" "$2"; shift 2; for each; do rmdir -- "$each" 2>/dev/null; done; true'
"""The manifest, and folders that it says are ours, in one go: without it nobody would know them.
One into which somebody put a file of his own stays.
"""
_PUT_BACK = 'cp -a -- "$1" "$2.new" && mv -fT -- "$2.new" "$2"'


async def take_away(work: Work, *, force: bool) -> None:
    """Removes all that is ours. REFUSED while the host is, or may be, in a swarm; `force`: leaves
    that first, if it can.
    """
    folders = folders_of(await work.remote.read(SETTINGS) or b"")
    if force:
        await leave(work.remote, folders.socket, work.tell)
    book = work.seen.manifest
    if not book.is_begun:
        work.tell("nothing of ours is there")
        return
    if not force:
        await _refuse_member(work, folders)
    await work.begin("removal")
    work.tell("stopping swarmd and its containers")
    await work.run(
        ["sh", "-s", folders.state, folders.run, folders.cgroup],
        stdin=_script(),
        timeout=_TAKE_DOWN,
    )
    await _remove_state(work, folders)
    work.tell("removing our versions")
    ours = [*map(version_folder, book.versions), CURRENT, INCOMING]
    await work.run(["rm", "-rf", "--one-file-system", "--", *ours], timeout=_TAKE_DOWN)
    for path, former in book.replaced.items():
        await _put_back(work, path, former)
    await _put_back_rest(work, book)
    await _purge(work)
    emptied = sorted(book.folders, reverse=True)
    await work.run(
        ["sh", "-c", _FORGET, "sh", manifest.SAVED, manifest.PATH, *emptied], timeout=_TAKE_DOWN
    )


async def _refuse_member(work: Work, folders: Folders) -> None:
    state = await swarm_state(work.remote, folders.socket)
    if state in ("active", "pending", "locked"):
        raise SwarmError(
            Code.REFUSED,
            f"{work.remote.name} is in a swarm",
            why="its tasks would be lost, and the others would wait for it",
            remedy="run there: swarmctl swarm leave; or say --force",
        )
    if not state and await work.remote.read(folders.membership) is not None:
        raise SwarmError(
            Code.REFUSED,
            f"it is not known whether {work.remote.name} is in a swarm",
            why=f"swarmd does not answer, and {folders.membership} says that it is in one",
            remedy="run there: systemctl start swarmd, then swarmctl swarm leave; or say --force",
        )


async def _remove_state(work: Work, folders: Folders) -> None:
    """Removes what the daemon kept, if it began in a folder of its own: images, volumes, logs."""
    book = work.seen.manifest
    if folders.state not in (*book.folders, *book.empty):
        work.tell(f"{folders.state} was there before us, and stays")
        return
    work.tell(f"removing {folders.state}, with images and volumes")
    for folder in (folders.state, folders.run):
        await work.run(
            ["sh", "-c", '[ ! -d "$1" ] || find "$1" -xdev -mindepth 1 -delete', "sh", folder],
            timeout=_TAKE_DOWN,
        )
    await work.attempt(["rmdir", "--", folders.run], timeout=_TAKE_DOWN)


async def _put_back(work: Work, path: str, former: str) -> None:
    """What was at a path before us."""
    if not former:
        await work.run(["rm", "-f", "--", path])
    elif former.startswith(LINK):
        await point(work, path, former.removeprefix(LINK))
    else:
        await work.run(["sh", "-c", _PUT_BACK, "sh", former, path])


async def _put_back_rest(work: Work, book: Manifest) -> None:
    await work.run(["systemctl", "daemon-reload"], timeout=_TAKE_DOWN)
    active, _, enabled = book.service.partition(" ")
    if book.replaced.get(UNIT) and enabled == "enabled":
        await work.run(["systemctl", "-q", "enable", SERVICE], timeout=_TAKE_DOWN)
    if book.replaced.get(UNIT) and active == "active":
        await work.run(["systemctl", "start", SERVICE], timeout=_TAKE_DOWN)
    if book.hostname:
        await work.run(["hostname", book.hostname])
    for group in book.groups:
        await work.attempt(["groupdel", group], timeout=_TAKE_DOWN)  # or it has gone already


async def _purge(work: Work) -> None:
    """Removes the packages that came with us, unless some that came later need them."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${binary:Package}\n"]
    listed = (await work.run(query, timeout=_TAKE_DOWN)).text
    present = {line[3:].strip().partition(":")[0] for line in listed.splitlines() if line[1] != "n"}
    ours = [each for each in work.book.packages if each.partition(":")[0] in present]
    if not ours:
        return
    simulated = await work.run([*APT, "-s", "purge", *ours], timeout=_PURGE)
    others = sorted(set(lost(simulated.text)) - set(ours))
    if others:
        work.tell(f"packages stay, for {' '.join(others)} needs some: see apt-get autoremove")
        await work.run(["apt-mark", "auto", *ours], timeout=_TAKE_DOWN)
        return
    work.tell(f"removing {len(ours)} packages")
    await mended(work, [*APT, "purge", *ours])


@cache
def _script() -> bytes:
    return files("machine.steps").joinpath("take_down.sh").read_bytes()
