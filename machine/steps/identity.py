"""The group whose members may use the socket, and the name of the host."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from machine.layout import GROUP
from machine.provisioning import Change, Kind
from machine.steps.places import keep_former
from machine.steps.seen import Seen
from machine.steps.step import Work

_HOSTNAME, _HOSTS = "/etc/hostname", "/etc/hosts"
_OWN = "127.0.1.1"
"""By which Debian's hosts know themselves."""


@dataclass(frozen=True)
class Group:
    """The group `swarm` is there."""

    name: str = "group"
    paths: Sequence[str] = ()

    def change(self, seen: Seen) -> Change | None:
        """Whether it is missing."""
        if GROUP in seen.groups:
            return None
        return Change(Kind.ADD, self.name, f"group {GROUP}, whose members may use the socket")

    async def apply(self, work: Work) -> None:
        """Makes it."""
        await work.save(replace(work.book, groups=tuple(sorted({*work.book.groups, GROUP}))))
        await work.run(["groupadd", "--system", "--force", GROUP])


@dataclass(frozen=True)
class Hostname:
    """The host is called this, now and after a boot, and knows itself by it."""

    wanted: str
    name: str = "hostname"
    paths: Sequence[str] = (_HOSTNAME, _HOSTS)

    def change(self, seen: Seen) -> Change | None:
        """Whether it is called otherwise."""
        if seen.hostname == self.wanted:
            return None
        return Change(Kind.CHANGE, self.name, f"{seen.hostname} becomes {self.wanted}")

    async def apply(self, work: Work) -> None:
        """Writes the name into both files, then tells the kernel."""
        if not work.book.hostname:
            await work.save(replace(work.book, hostname=work.seen.hostname))
        hosts = await work.remote.read(_HOSTS) or b""
        for path, content in (
            (_HOSTNAME, f"{self.wanted}\n"),
            (_HOSTS, with_own_name(hosts.decode(errors="replace"), self.wanted)),
        ):
            await keep_former(work, path)
            await work.remote.write(path, content.encode(), mode=0o644)
        await work.run(["hostname", self.wanted])


def with_own_name(hosts: str, name: str) -> str:
    """The text of /etc/hosts in which 127.0.1.1 is this name; other lines stay as they are."""
    lines = hosts.splitlines()
    own = [index for index, line in enumerate(lines) if line.split()[:1] == [_OWN]]
    if own:
        lines[own[0]] = f"{_OWN}\t{name}"
    else:
        lines.append(f"{_OWN}\t{name}")
    return "\n".join(lines) + "\n"
