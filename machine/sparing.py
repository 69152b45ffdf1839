"""Machines that are managers of a swarm are restarted one after another, and only while the others
can do without them.

For machines that are worked on by themselves. What knows a whole cluster plans instead
(machine.swarm.plan). Each host is asked for its own swarm; none but it is ever touched.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.errors import Code, SwarmError
from machine.layout import SETTINGS
from machine.provisioning import Change, Kind, Provisioner, Tell, Wanted
from machine.remote import Remote
from machine.steps.settings import Folders, folders_of
from machine.steps.state import program_of
from machine.steps.step import StepError
from machine.swarm.answers import host_of
from machine.swarm.command import Swarmctl
from machine.swarm.look import INFO
from machine.swarm.managers import Managers
from machine.swarm.quorum import TOO_FEW_TO_SPARE
from machine.swarm.seen import Standing
from machine.swarm.waits import Patience, Waits
from machine.swarm.wanted import Role

READY = "ready"
"""The step, after those of the installation, at which the other managers hear of it again."""
PATIENCE = Patience(quorum=30.0)
"""A manager that was restarted just before is back by then."""


@dataclass(frozen=True)
class _Seat:
    """A manager on a host, and who knows of the others."""

    host: str
    node_id: str
    cluster_id: str
    itself: Swarmctl

    @property
    def managers(self) -> Managers:
        """It answers for all."""
        return Managers({self.host: self.itself}, [self.host])


class Turns:
    """Of one command. `force`: nobody is asked, and the swarm may halt meanwhile."""

    def __init__(
        self, clock: Callable[[], float], *, force: bool = False, patience: Patience = PATIENCE
    ) -> None:
        self._clock = clock
        self._force = force
        self._patience = patience
        self._one = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._failed: dict[str, str] = {}
        """By the id of a swarm: the host of it that failed."""

    async def apply(
        self, provisioner: Provisioner, remote: Remote, wanted: Wanted, tell: Tell
    ) -> Sequence[Change]:
        """`Provisioner.apply`, which waits for its turn where it restarts a manager. What takes
        long, and touches nothing that runs, is done before.

        REFUSED if the manager cannot be spared: it runs on as it did. StepError of READY if it does
        not find back into its swarm.
        """
        seat = await _seat(remote)
        if seat is None or not _restarts(await provisioner.changes(remote, wanted)):
            return await provisioner.apply(remote, wanted, tell)
        brought = await provisioner.prepare(remote, wanted, tell)
        async with self._of(seat, tell):
            return [*brought, *await provisioner.apply(remote, wanted, tell)]

    @asynccontextmanager
    async def turn(self, remote: Remote, tell: Tell) -> AsyncIterator[None]:
        """The turn of a host whose daemon will be restarted, if that is a manager; see `apply`."""
        seat = await _seat(remote)
        if seat is None:
            yield
            return
        async with self._of(seat, tell):
            yield

    @asynccontextmanager
    async def _of(self, seat: _Seat, tell: Tell) -> AsyncIterator[None]:
        async with self._one[seat.cluster_id]:
            self._refuse_after_failure(seat)
            waits = Waits(seat.managers, self._patience, self._clock)
            if not self._force:
                await self._spared(seat, waits, tell)
            try:
                yield
                await self._ready(seat, waits, tell)
            except SwarmError:
                self._failed[seat.cluster_id] = seat.host
                raise

    def _refuse_after_failure(self, seat: _Seat) -> None:
        failed = self._failed.get(seat.cluster_id)
        if failed is not None:
            raise SwarmError(
                Code.REFUSED,
                f"{seat.host} is left as it is",
                why=f"{failed}, a manager of the same swarm, failed before it",
                remedy="look at that one first, then do the same again",
            )

    async def _spared(self, seat: _Seat, waits: Waits, tell: Tell) -> None:
        try:
            await waits.quorum(seat.host, seat.node_id, goes=False, tell=tell)
            nodes = await seat.managers.nodes()
        except SwarmError as error:
            raise SwarmError(
                Code.REFUSED,
                f"{seat.host} is a manager, and the others cannot do without it now",
                why=error.why or error.what,
                remedy="bring the others back first, see swarmctl node ls; or say --force: the "
                "swarm takes no changes then until it is back",
            ) from error
        if sum(each.is_seated for each in nodes.values()) <= TOO_FEW_TO_SPARE:
            tell("warning: the swarm takes no changes while this manager is restarted")

    async def _ready(self, seat: _Seat, waits: Waits, tell: Tell) -> None:
        try:
            await waits.ready(seat.host, seat.node_id, seat.itself, Role.MANAGER, "", tell)
        except SwarmError as error:
            raise StepError(seat.host, READY, error) from error


async def _seat(remote: Remote) -> _Seat | None:
    """The manager that runs there; None if none does, or if it is out of its group anyway."""
    socket = folders_of(await remote.read(SETTINGS) or b"").socket
    elsewhere = socket if socket != Folders().socket else ""
    ctl = Swarmctl(remote, elsewhere, await program_of(remote))
    done = await ctl.attempt(*INFO)
    found = host_of(done.text) if done.code == 0 else None
    if found is None or not found.is_manager or found.standing is not Standing.ACTIVE:
        return None
    return _Seat(remote.name, found.node_id, found.cluster_id, ctl)


def _restarts(changes: Sequence[Change]) -> bool:
    return any(each.kind is Kind.RESTART for each in changes)
