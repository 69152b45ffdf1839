"""The daemon runs, as systemd's service, with the version, unit and settings that are wanted.

It is restarted only for a reason, which the plan tells: what it was started with stands in the
manifest, so that a run that is cut off between a change and the restart makes up for it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from api.errors import Code, SwarmError
from machine.layout import CURRENT, SERVICE, SETTINGS, UNIT, kept
from machine.provisioning import Change, Kind
from machine.steps.places import File
from machine.steps.seen import Seen
from machine.steps.step import Work

HEALTHY = 300
"""Seconds that a daemon has until it answers: on a slow processor Python alone takes a minute. One
that does not come up at all is told by systemd long before.
"""
_SLACK = 90.0
_RESTART = 90.0
_NOT_KNOWN = "what it runs with is not known"
_WORDS = {"version": "the version", "unit": "the unit", "settings": "the settings"}


@dataclass(frozen=True)
class Started(File):
    """A file that swarmd is started with."""

    async def apply(self, work: Work) -> None:
        """Notes that nobody knows any more what runs; then as every file."""
        await work.save(work.book.unsure())
        await super().apply(work)


@dataclass(frozen=True)
class Service:
    """swarmd of `version` runs, and is started at boot. `socket`: where it answers."""

    version: str
    unit: bytes
    settings: bytes
    socket: str
    name: str = "service"
    paths: Sequence[str] = (CURRENT, SETTINGS, UNIT)

    @property
    def files(self) -> tuple[Started, Started]:
        """The settings and the unit, which are written before."""
        return Started(SETTINGS, self.settings), Started(UNIT, self.unit)

    @property
    def _wanted(self) -> dict[str, str]:
        return {
            "version": self.version,
            "unit": hashlib.sha256(self.unit).hexdigest(),
            "settings": hashlib.sha256(self.settings).hexdigest(),
        }

    def change(self, seen: Seen) -> Change | None:
        """Whether it has to be started, or started anew, and why."""
        if seen.active != "active":
            return Change(
                Kind.ADD, self.name, "start swarmd", f"it is {seen.active or 'not there'}"
            )
        changed = [
            _WORDS[key]
            for key, value in self._wanted.items()
            if seen.manifest.running.get(key) != value
        ]
        if changed:
            is_known = seen.manifest.running.keys() >= self._wanted.keys()
            why = f"{' and '.join(changed)} changed" if is_known else _NOT_KNOWN
            return Change(Kind.RESTART, self.name, "restart swarmd", why)
        if by_hand := self._by_hand(seen):
            why = f"somebody changed {' and '.join(by_hand)}"
            return Change(Kind.RESTART, self.name, "restart swarmd", why)
        if not seen.has(self.version):
            return Change(Kind.RESTART, self.name, "restart swarmd", "its version is made anew")
        if seen.target(CURRENT) != self.version:
            return Change(Kind.RESTART, self.name, "restart swarmd", "the version was switched")
        if seen.enabled != "enabled":
            return Change(Kind.CHANGE, self.name, "start swarmd at boot", f"it is {seen.enabled}")
        return None

    def _by_hand(self, seen: Seen) -> list[str]:
        """What is not there as we left it: swarmd may have been started with that."""
        settings, unit = (file.change(seen) is not None for file in self.files)
        others = {"settings": settings, "unit": unit or seen.unit_is_stale}
        return [_WORDS[key] for key, is_another in others.items() if is_another]

    async def apply(self, work: Work) -> None:
        """Starts it, waits until it answers, and keeps what it runs with beside its version."""
        seen = work.seen
        if not work.book.service:
            before = f"{seen.active or 'unknown'} {seen.enabled or 'unknown'}"
            await work.save(replace(work.book, service=before))
        if seen.unit_is_stale:
            await work.save(work.book.unsure())  # the next look does not see it any more
        await work.run(["systemctl", "daemon-reload"], timeout=_RESTART)
        await work.run(["systemctl", "-q", "enable", SERVICE], timeout=_RESTART)
        if seen.active != "active" or work.book.running != self._wanted:
            await work.run(["systemctl", "restart", SERVICE], timeout=_RESTART)
        await healthy(work, self.version, self.socket)
        await work.run(["mkdir", "-p", kept(self.version)])
        await work.run(["cp", "-p", UNIT, SETTINGS, kept(self.version)])
        await work.save(replace(work.book, running=self._wanted))


async def healthy(work: Work, version: str, socket: str) -> Mapping[str, Any]:
    """Waits until the daemon answers as this version; what it says of itself."""
    work.tell("waiting for swarmd to answer")
    done = await work.remote.run(
        ["sh", "-s", f"{CURRENT}/bin/swarmctl", socket, str(HEALTHY)],
        stdin=_script(),
        timeout=HEALTHY + _SLACK,
    )
    if done.code != 0:
        said = done.err.decode(errors="replace").strip().splitlines()
        raise SwarmError(
            Code.INTERNAL,
            f"swarmd {version} does not come up",
            why=" | ".join(said[-3:])[-600:] or f"no answer in {HEALTHY} s",
            remedy=f"see journalctl -u {SERVICE}",
        )
    try:
        told: dict[str, Any] = json.loads(done.text)
        answered = told["Version"]
    except (ValueError, KeyError, TypeError):
        raise SwarmError(Code.INTERNAL, "swarmd's answer cannot be read") from None
    if answered != version:
        raise SwarmError(
            Code.INTERNAL,
            f"swarmd answers as version {answered}, not as {version}",
            remedy="look who started it: systemctl status swarmd",
        )
    return told


@cache
def _script() -> bytes:
    return files("machine.steps").joinpath("healthy.sh").read_bytes()
