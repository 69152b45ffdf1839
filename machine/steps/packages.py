"""Debian packages. Those that an installation brings along are noted before they come, so that a
removal takes just them.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.provisioning import Change, Kind
from machine.steps.seen import Seen
from machine.steps.step import Work, failure

LOCK_TIMEOUT = 120
"""Seconds that another package manager is waited for."""
_UPDATE, _INSTALL = 300.0, 1500.0
_PAUSE = 3.0
_UNASKING = ("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C")
_KEEPING = ("--force-confdef", "--force-confold")
"""Files of settings that somebody changed stay as they are; else dpkg asks, and nobody answers."""
APT = (
    *_UNASKING,
    "apt-get",
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_TIMEOUT}",
    "-o",
    "APT::Keep-Downloaded-Packages=false",
    *(word for each in _KEEPING for word in ("-o", f"Dpkg::Options::={each}")),
)
_DPKG = (*_UNASKING, "dpkg", *_KEEPING, "--configure", "-a")
_UNKNOWN = (b"Unable to locate package", b"has no installation candidate")
_NEW = re.compile(r"^Inst (\S+) \((?!.*\[\S+\] \()", re.MULTILINE)
_GONE = re.compile(r"^(?:Remv|Purg) (\S+) ", re.MULTILINE)


def brought(simulated: str) -> list[str]:
    """The packages that `apt-get -s install` would add; not those it would only upgrade."""
    return sorted(set(_NEW.findall(simulated)))


def lost(simulated: str) -> list[str]:
    """The packages that `apt-get -s purge` would remove."""
    return sorted(set(_GONE.findall(simulated)))


@dataclass(frozen=True)
class Packages:
    """These are installed."""

    wanted: Sequence[str]
    name: str = "packages"
    paths: Sequence[str] = ()

    def change(self, seen: Seen) -> Change | None:
        """Those that are missing."""
        missing = [each for each in self.wanted if each in seen.missing]
        if not missing:
            return None
        return Change(Kind.ADD, self.name, f"install {' '.join(missing)}")

    async def apply(self, work: Work) -> None:
        """Updates the lists, notes what comes, installs."""
        missing = [each for each in self.wanted if each in work.seen.missing]
        install = [*APT, "--no-install-recommends", "--no-remove", "install", *missing]
        work.tell("apt-get update")
        await _patiently(work, [*APT, "update"], _UPDATE)
        simulated = await mended(work, [*install[: -len(missing)], "-s", *missing])
        new = brought(simulated.text)
        packages = tuple(sorted({*work.book.packages, *new}))
        await work.save(replace(work.book, packages=packages))
        work.tell(f"apt-get install: {len(new)} packages")
        await mended(work, install, work.detail)


async def mended(
    work: Work, argv: Sequence[str], tell: Callable[[str], None] | None = None
) -> Completed:
    """Runs apt; a work of dpkg's that was cut off, as by us, is brought to its end first."""
    done = await work.attempt(argv, timeout=_INSTALL, tell=tell)
    if done.code != 0 and b"dpkg --configure -a" in done.err + done.out:
        work.tell("dpkg --configure -a, for its last work was cut off")
        await work.run(_DPKG, timeout=_INSTALL)
        done = await work.attempt(argv, timeout=_INSTALL, tell=tell)
    return _checked(done, argv)


async def _patiently(work: Work, argv: Sequence[str], timeout: float) -> None:
    """Waits for the lock of the package lists, which apt itself does not wait for."""
    for _ in range(int(LOCK_TIMEOUT / _PAUSE)):
        done = await work.attempt(argv, timeout=timeout)
        if done.code == 0 or b"Could not get lock /var/lib/apt/lists" not in done.err:
            break
        work.tell("another package manager updates its lists; waiting for it")
        await asyncio.sleep(_PAUSE)
    _checked(done, argv)


def _checked(done: Completed, argv: Sequence[str]) -> Completed:
    if done.code == 0:
        return done
    error = failure(done, argv)
    if b"Could not get lock" in done.err:
        raise SwarmError(
            Code.REFUSED,
            "the package manager is used by somebody else",
            why=f"for more than {LOCK_TIMEOUT} s; {error.why}",
            remedy="let it end, or: systemctl stop unattended-upgrades apt-daily "
            "apt-daily-upgrade; then run this again",
        )
    if any(each in done.err for each in _UNKNOWN):
        error.remedy = "on Ubuntu: add-apt-repository universe; else look at /etc/apt/sources.list"
    if b"No space left" in done.err:
        error.remedy = "make room (apt-get clean), then run this again"
    raise error
