"""Brings a whole lab up: hosts, registry, forwarder, swarm, demo images; and again, to go on.

Each step looks first at what is there, so that a second run after a crash, or after hosts were
killed, does what is missing and nothing else.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from machine.driver import State
from machine.drivers.lab import form as forming
from machine.drivers.lab import naming, record, registry
from machine.drivers.lab.driver import LabDriver, all_of
from machine.drivers.lab.host import LabHost

Publish = Callable[[LabHost], Awaitable[None]]
"""Puts images into the registry host that it is given."""


@dataclass(frozen=True)
class Shape:
    """What a lab consists of; `expose` is ADDR:PORT on loopback, or empty.

    `disk`: MiB of the disk that each host but the registry gets of its own; 0: none does.
    """

    managers: int = 1
    workers: int = 2
    registry: bool = True
    expose: str = ""
    disk: int = 0

    def names(self) -> list[str]:
        """The names of its hosts."""
        return naming.host_names(self.managers, self.workers, self.registry)


async def bring_up(
    name: str,
    shape: Shape,
    *,
    base: Path = naming.DEFAULT_BASE,
    daemon: Sequence[str] | None = None,
    form: bool = True,
    heartbeat: float = forming.DEFAULT_HEARTBEAT,
    publish: Publish | None = None,
) -> tuple[LabDriver, bool]:
    """The lab, up, and whether every host of it ran before.

    EXISTS if there is a lab of that name and of another shape. Daemons that ended are started
    again; each must listen where swarmd does. `form` makes a swarm of the hosts; `publish` is
    called once the registry answers, and must bear repetition.
    """
    names = shape.names()
    if shape.registry:
        registry.check_installed()
    lab = _made_or_found(name, shape, base, daemon)
    ran = bool(lab.hosts()) and all([await each.state() is State.RUNNING for each in lab.hosts()])
    if not ran:
        await lab.create_all(names)
    await all_of(host.start_daemon() for host in lab.hosts())
    await lab.start_forwarder()
    members = [host for host in lab.hosts() if host.name != naming.REGISTRY]
    work = [host.wait_for_socket(host.paths.swarm_socket) for host in members]
    if shape.registry:
        work.append(_stock(lab.host(naming.REGISTRY), publish))
    if form:
        work.append(forming.form(members, heartbeat=heartbeat))
    await all_of(work)
    return lab, ran


async def _stock(host: LabHost, publish: Publish | None) -> None:
    await registry.wait_until_it_answers(host)
    if publish is not None:
        await publish(host)


def _made_or_found(name: str, shape: Shape, base: Path, daemon: Sequence[str] | None) -> LabDriver:
    """A new lab, or the one that is there if it has this shape or no host yet."""
    if record.load(record.lab_paths(name, base)) is None:
        return LabDriver.make(name, base=base, daemon=daemon, expose=shape.expose, disk=shape.disk)
    lab = LabDriver.open(name, base=base)
    present = [host.name for host in lab.hosts()]
    is_other = present and sorted(present) != sorted(shape.names())
    if is_other or (lab.expose, lab.disk) != (shape.expose, shape.disk):
        exposed = f", exposed at {lab.expose}" if lab.expose else ""
        exposed += f", with disks of {lab.disk} MiB" if lab.disk else ""
        raise SwarmError(
            Code.EXISTS,
            f"there is a lab {name} of another shape",
            why=f"it has {', '.join(present) or 'no host'}{exposed}",
            remedy=f"take it down with swarmctl lab down --name {name}, or choose another name",
        )
    return lab
