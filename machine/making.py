"""What is done to machines of the store: installed, looked at, upgraded, taken apart.

The record tells at each moment how far that came, so that whatever is cut off can be gone on with.
By whatever way leads there; who asks the operator and who draws is the affair of the command line.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from hostkit.clock import boot
from machine import inventory
from machine.certs.host_papers import host_papers, is_borrowed, settings
from machine.distribution.bundle import check
from machine.distribution.own import Distribution, given, own
from machine.driver import EnteredHost, MachineHost
from machine.layout import CURRENT, SETTINGS
from machine.provision import Installer
from machine.provisioning import Change, Problem, Provisioner, Tell, Wanted
from machine.remote import Remote
from machine.sparing import READY, Turns
from machine.steps.current import Current
from machine.steps.service import Service
from machine.steps.settings import folders_of, settings_of
from machine.steps.state import version_of
from machine.steps.step import StepError
from machine.store.machine import Machine, Phase
from machine.store.store import Store
from machine.swarm.leased import LeasedRemote
from machine.swarm.lock import Lock

Connect = Callable[[Machine], AbstractAsyncContextManager[Remote]]
"""The way to a machine, for as long as it is needed."""
_RUNS_WELL = frozenset({Current.name, Service.name, READY})
"""Steps that fail where a version does not run well."""


@dataclass(frozen=True)
class Parcel:
    """What is sent to hosts: our distribution, and libraries for those that do not reach PyPI."""

    distribution: Distribution
    wheel: Path | None = None  # that somebody named
    bundle: Path | None = None

    @classmethod
    def of(cls, wheel: Path | None, bundle: Path | None) -> "Parcel":
        """That wheel, or this program's own; INVALID if a file is not what it should be, or they do
        not go together.
        """
        distribution = given(wheel) if wheel else own()
        if bundle is not None:
            check(bundle, distribution.path)
        return cls(distribution, wheel, bundle)


class Maker:
    """Works on machines of one store. Every call holds the machine's lock, and may be repeated."""

    def __init__(
        self, store: Store, connect: Connect, installer: Installer, who: str, turns: Turns
    ) -> None:
        """`who`: what hosts tell others of this operator; `turns`: of managers among them."""
        self._turns = turns
        self._store = store
        self._connect = connect
        self._installer = installer
        self._who = who

    async def create(self, machine: Machine, parcel: Parcel, tell: Tell) -> Sequence[Change]:
        """Has its driver make the host, then installs it. The record is there already.

        REFUSED for a host that somebody else has installed, who would lose it.
        """
        with self._store.locked(machine.name, "creating it"):
            machine = await inventory.make(self._store, machine)
            return await self._install(machine, "", parcel, tell, is_new=True)

    async def provision(self, machine: Machine, parcel: Parcel, tell: Tell) -> Sequence[Change]:
        """Makes the host as it is wanted, with the version that it has; goes on with a `create`."""
        with self._store.locked(machine.name, "provisioning it"):
            # One that was adopted gets its API now; one that is entered may have been taken down.
            if not machine.target.host or not machine.api or machine.is_entered:
                machine = await inventory.make(self._store, machine)
            version = machine.version if parcel.wheel is None else ""
            return await self._install(machine, version, parcel, tell)

    async def upgrade(self, machine: Machine, parcel: Parcel, tell: Tell) -> Sequence[Change]:
        """Makes it run this version; where that does not come up, the one before it runs again.

        One that was adopted, and not provisioned since, keeps its settings and certificates.
        """
        with self._store.locked(machine.name, "upgrading it"):
            try:
                return await self._install(machine, "", parcel, tell)
            except SwarmError as error:
                await self._go_back(machine, parcel.distribution.version, error, tell)
                raise

    async def roll_back(self, machine: Machine, tell: Tell) -> str:
        """Makes the version before the present one run; returns it."""
        with self._store.locked(machine.name, "rolling it back"):
            try:
                async with (
                    self._alone(machine, "rolling it back") as remote,
                    self._turns.turn(remote, tell),
                ):
                    version = await self._provisioner(machine).roll_back(remote, tell)
            except SwarmError as error:
                if error.code is not Code.REFUSED:  # nothing has changed there then
                    failed = machine.at("rollback", self._store.now())
                    self._store.save(failed.failed(error, self._store.now()))
                raise
            wish = replace(machine.wish, version=version)
            self._store.save(replace(machine, wish=wish).ready(version, self._store.now()))
            return version

    async def plan(
        self, machine: Machine, parcel: Parcel, version: str = ""
    ) -> tuple[Sequence[Problem], Sequence[Change]]:
        """What is in the way, and what would be done. Changes nothing on the host."""
        provisioner = self._provisioner(machine)
        async with self._connect(machine) as remote:
            wanted = await self._wanted(
                machine, self._version(machine, version, parcel), parcel, remote
            )
            return (
                await provisioner.problems(remote, wanted),
                await provisioner.changes(remote, wanted),
            )

    async def adopt(self, machine: Machine) -> Machine:
        """Records a host that runs our daemon as it is, with its settings; changes nothing there.

        REFUSED if it runs none. Its API is not ours until `provision` gives it our certificates.
        """
        with self._store.locked(machine.name, "adopting it"):
            try:
                _refuse_entered(inventory.host_of(self._store, machine))
                machine = await self._adopted(await inventory.make(self._store, machine))
            except SwarmError:
                self._store.remove(machine.name)  # there is nothing to go on with
                raise
            self._store.save(machine)
            return machine

    async def _adopted(self, machine: Machine) -> Machine:
        async with self._connect(machine) as remote:
            content = await remote.read(SETTINGS) or b""
            version = await version_of(remote, folders_of(content).socket)
        if not version:
            raise SwarmError(
                Code.REFUSED,
                f"{machine.name} runs no swarmd that could be adopted",
                why=f"nobody answers at {folders_of(content).socket}",
                remedy="install it: swarmctl machine create",
            )
        wish = replace(machine.wish, version=version, settings=_theirs(content))
        return replace(machine, wish=wish, api="").ready(version, self._store.now())

    async def remove(self, machine: Machine, *, cleanup: bool, force: bool, tell: Tell) -> None:
        """Forgets the machine; its driver takes away what it made.

        `cleanup`: takes from the host all that came with us. `force`: leaves its swarm first, and
        goes on where the host or its driver is not to be had.
        """
        with self._store.locked(machine.name, "removing it"):
            if cleanup and machine.target.host:
                with _passing_over(tell, force=force):
                    await self._clean(machine, force=force, tell=tell)
            with _passing_over(tell, force=force):
                await inventory.driver_of(self._store, machine).remove(machine.name)
            inventory.forget(self._store, machine.name)

    @asynccontextmanager
    async def _alone(self, machine: Machine, doing: str) -> AsyncIterator[Remote]:
        """The way to a host that other operators leave alone meanwhile; REFUSED names who is there.

        It raises CONFLICT, and does nothing, once that is not certain any more. After a connection
        that broke, the same operator goes on at once.
        """
        store = hashlib.sha256(str(self._store.root).encode()).hexdigest()[:16]
        async with self._connect(machine) as remote:
            text = f"{self._who}: {doing}"
            lease = Lock(f"{self._who}/{store}", text, {machine.name: remote}, (), boot)
            async with lease.held():
                yield LeasedRemote(remote, lease)

    async def _install(
        self, machine: Machine, version: str, parcel: Parcel, tell: Tell, *, is_new: bool = False
    ) -> Sequence[Change]:
        before = machine
        version = self._version(machine, version, parcel)
        machine = replace(machine, wish=replace(machine.wish, version=version))
        machine = machine.at("provision", self._store.now())
        self._store.save(machine)
        try:
            async with self._alone(machine, "installing it") as remote:
                if is_new and not machine.is_entered:
                    await self._refuse_others(machine.name, remote)
                wanted = await self._wanted(machine, version, parcel, remote)
                changes = await self._turns.apply(self._provisioner(machine), remote, wanted, tell)
        except SwarmError as error:
            if isinstance(error, StepError):
                machine = machine.at(error.step, self._store.now())
            elif error.code is Code.REFUSED and before.phase is Phase.READY:
                self._store.save(before)  # nothing has changed there
                raise
            self._store.save(machine.failed(error, self._store.now()))
            raise
        self._store.save(machine.ready(version, self._store.now()))
        return changes

    async def _refuse_others(self, name: str, remote: Remote) -> None:
        who = await self._installer.last_operator(remote)
        if who not in ("", self._who):
            raise SwarmError(
                Code.REFUSED,
                f"{name} was installed already, by {who}",
                why="their certificates would no longer be trusted there",
                remedy=f"record it as it is: swarmctl machine rm {name}, then adopt; "
                f"or take it over: swarmctl machine provision {name}",
            )

    async def _go_back(self, machine: Machine, version: str, error: SwarmError, tell: Tell) -> None:
        """After an upgrade whose version does not run well: the former one. Whatever else ends an
        upgrade is no reason: what is there may run well, also after a switch of an earlier run.
        """
        if not (isinstance(error, StepError) and error.step in _RUNS_WELL):
            return
        if error.code in (Code.UNAVAILABLE, Code.CONFLICT) or machine.is_entered:
            # Nobody is reached who could go back, the host is somebody else's by now, or there is
            # nothing to go back to.
            return
        async with self._alone(machine, "going back on it") as remote:
            present = await remote.run(["readlink", CURRENT], timeout=30.0)
            if present.text != version or machine.version in ("", version):
                return
            tell(f"{version} does not run there; going back")
            former = await self._installer.roll_back(remote, tell)
        wish = replace(machine.wish, version=former)
        self._store.save(replace(machine, wish=wish).ready(former, self._store.now()))
        error.why = f"{error.why}; {machine.name} runs {former} again"

    async def _clean(self, machine: Machine, *, force: bool, tell: Tell) -> None:
        async with self._alone(machine, "removing it") as remote:
            await self._provisioner(machine).remove(remote, tell, force=force)

    def _version(self, machine: Machine, asked: str, parcel: Parcel) -> str:
        """The one that is to run: what is asked for, else what is sent. One that is entered runs
        what is installed here.
        """
        if machine.is_entered:
            return inventory.entered(self._store, machine).version
        return asked or parcel.distribution.version

    def _provisioner(self, machine: Machine) -> Provisioner:
        if machine.is_entered:
            return inventory.entered(self._store, machine).provisioner()
        return self._installer

    async def _wanted(
        self, machine: Machine, version: str, parcel: Parcel, remote: Remote
    ) -> Wanted:
        """Of a colleague's machine the certificates stay as they are; of one that was adopted, and
        has no API of ours, all but the version.
        """
        own_settings = dict(machine.wish.settings)
        if is_left_alone(machine):
            found = settings_of(await remote.read(SETTINGS) or b"")
            return Wanted(version, found, bundle=parcel.bundle, wheel=parcel.wheel)
        if machine.wish.labels:
            own_settings["labels"] = {**own_settings.get("labels", {}), **machine.wish.labels}
        no_papers = machine.is_entered or is_borrowed(self._store, machine)
        papers = None if no_papers else host_papers(self._store, machine)
        of_api = {} if machine.is_entered else settings()
        return Wanted(
            version=version,
            settings={**(papers.settings if papers else of_api), **own_settings},
            hostname=machine.wish.hostname,
            bundle=parcel.bundle,
            wheel=parcel.wheel,
            files=papers.files if papers else (),
        )


def is_left_alone(machine: Machine) -> bool:
    """Whether it was adopted, and nobody has asked yet to make it as it is wanted here."""
    return bool(machine.version) and not machine.api


def _refuse_entered(host: MachineHost) -> None:
    if isinstance(host, EnteredHost):
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{host.name} cannot be adopted",
            why="its driver makes its hosts, and removes them with the machine",
            remedy="make one: swarmctl machine create",
        )


@contextmanager
def _passing_over(tell: Tell, *, force: bool) -> Iterator[None]:
    """By force a failure is told, and no more."""
    try:
        yield
    except SwarmError as error:
        if not force:
            raise
        tell(f"{error}; it is forgotten all the same")


def _theirs(content: bytes) -> Mapping[str, Any]:
    """The settings of a host that is adopted, without those of its API, which is theirs."""
    return {k: value for k, value in settings_of(content).items() if k not in settings()}
