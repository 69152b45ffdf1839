"""What is done to machines of the store, on hosts of paper: the host, and what the record says."""

import asyncio
import copy
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from api.errors import Code, SwarmError
from hostkit.clock import monotonic
from hostkit.process import Completed
from machine import inventory
from machine.distribution.own import Distribution
from machine.making import Maker, Parcel
from machine.manifest import PATH, Entry, Manifest, encoded
from machine.provision import Installer
from machine.provisioning import Change, Provisioner, Tell, Wanted
from machine.remote import Remote
from machine.sparing import READY, Turns
from machine.steps.settings import settings_of
from machine.steps.step import StepError
from machine.store.machine import Machine, Phase, Wish
from machine.store.store import Store
from machine.swarm import lock
from tests.support.installed import installed
from tests.support.paper_host import FACTS, Node, PaperHost, PaperRemote

T = TypeVar("T")
EXAMPLE = Path(__file__).parents[3] / "examples" / "machine-driver"
SETTINGS = "/etc/swarm/swarmd.toml"


class Desk:
    """An operator with a store, and one machine on a host of paper."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder, clock=lambda: 1_800_000_000.0)
        self.host = PaperHost()
        self.calls = 1 << 30  # until the way breaks
        self.said: list[str] = []
        installer = Installer("alice@ws", clock=lambda: 0.0, carried=lambda: self.distribution("1"))
        self.maker = self.with_installer(installer)

    def with_installer(self, installer: Installer, turns: Turns | None = None) -> Maker:
        return Maker(self.store, self._connect, installer, "alice@ws", turns or Turns(monotonic))

    def record(self, wish: Wish | None = None) -> Machine:
        return inventory.add(self.store, "h1", "generic", {"ip-address": "192.0.2.1"}, wish)

    @property
    def machine(self) -> Machine:
        return self.store.get("h1")

    @staticmethod
    def distribution(version: str) -> Distribution:
        return Distribution(version, Path(f"swarmctl-{version}-py3-none-any.whl"))

    def parcel(self, version: str = "1") -> Parcel:
        return Parcel(self.distribution(version))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)

    def create(self) -> None:
        self.do(self.maker.create(self.record(), self.parcel(), self.said.append))

    @asynccontextmanager
    async def _connect(self, machine: Machine) -> AsyncIterator[Remote]:
        assert machine.target.host == "192.0.2.1"
        yield PaperRemote(self.host, self.calls)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "store")


def test_a_created_machine_is_ready_and_has_an_api(desk: Desk) -> None:
    desk.create()
    assert (desk.machine.phase, desk.machine.version) == (Phase.READY, "1")
    assert desk.machine.api == "192.0.2.1:2376"
    assert b'api_listen = "0.0.0.0:2376"' in desk.host.tree[SETTINGS].content
    assert desk.host.tree["/etc/swarm/api/key.pem"].mode == 0o600
    again = desk.do(desk.maker.provision(desk.machine, desk.parcel(), desk.said.append))
    assert again == []
    assert desk.host.starts == 1


def test_what_failed_stands_in_the_record_and_is_gone_on_with(desk: Desk) -> None:
    desk.calls = 20
    with pytest.raises(SwarmError, match="h1: step") as failed:
        desk.create()
    assert failed.value.code is Code.UNAVAILABLE
    assert desk.machine.phase is Phase.FAILED
    assert desk.machine.step
    assert desk.machine.step in desk.machine.error
    desk.calls = 1 << 30
    desk.do(desk.maker.provision(desk.machine, desk.parcel(), desk.said.append))
    assert (desk.machine.phase, desk.host.runs) == (Phase.READY, "1")


def test_labels_and_settings_of_the_wish_reach_the_host(desk: Desk) -> None:
    wish = Wish(settings={"log_level": "debug", "labels": {"a": "1"}}, labels={"rack": "b"})
    desk.do(desk.maker.create(desk.record(wish), desk.parcel(), desk.said.append))
    text = desk.host.tree[SETTINGS].content.decode()
    assert 'labels = { a = "1", rack = "b" }' in text
    assert 'log_level = "debug"' in text


def upgraded(desk: Desk, version: str, turns: Turns | None = None) -> None:
    installer = Installer("a", clock=lambda: 0.0, carried=lambda: desk.distribution(version))
    maker = desk.with_installer(installer, turns)
    desk.do(maker.upgrade(desk.machine, desk.parcel(version), desk.said.append))


def test_an_upgrade_that_does_not_come_up_goes_back(desk: Desk) -> None:
    desk.create()
    desk.host.broken = frozenset({"2"})
    with pytest.raises(SwarmError, match="h1 runs 1 again"):
        upgraded(desk, "2")
    assert desk.host.runs == "1"
    assert (desk.machine.phase, desk.machine.version) == (Phase.READY, "1")
    upgraded(desk, "3")
    assert (desk.host.runs, desk.machine.version) == ("3", "3")
    assert desk.do(desk.maker.roll_back(desk.machine, desk.said.append)) == "1"
    assert (desk.machine.version, desk.machine.wish.version) == ("1", "1")


def test_a_way_back_that_fails_is_in_the_record_and_one_that_is_refused_is_not(desk: Desk) -> None:
    desk.create()
    with pytest.raises(SwarmError, match="no version to go back to"):
        desk.do(desk.maker.roll_back(desk.machine, desk.said.append))
    assert desk.machine.phase is Phase.READY
    upgraded(desk, "2")
    desk.host.broken = frozenset({"1"})
    with pytest.raises(SwarmError, match="does not come up"):
        desk.do(desk.maker.roll_back(desk.machine, desk.said.append))
    assert (desk.machine.phase, desk.machine.step) == (Phase.FAILED, "rollback")
    desk.host.broken = frozenset()
    upgraded(desk, "2")
    assert (desk.machine.phase, desk.host.runs) == (Phase.READY, "2")
    desk.host.locked_by = "held\n42\nbob@ws: upgrade of prod"
    with pytest.raises(SwarmError, match="locked by bob"):
        upgraded(desk, "3")
    assert (desk.machine.phase, desk.machine.wish.version) == (Phase.READY, "2")


def test_an_upgrade_that_fails_before_the_switch_goes_back_nowhere(desk: Desk) -> None:
    desk.create()
    desk.host.packages.discard("crun")
    desk.host.unreachable = {"crun"}
    with pytest.raises(SwarmError, match="step packages failed"):
        upgraded(desk, "2")
    assert (desk.host.runs, desk.host.starts) == ("1", 1)
    assert desk.machine.phase is Phase.FAILED


def test_nor_does_one_that_fails_once_its_version_was_found_well(desk: Desk) -> None:
    desk.create()
    upgraded(desk, "2")
    desk.host.busy = frozenset({"/opt/swarm/1"})
    with pytest.raises(SwarmError, match="step former versions failed"):
        upgraded(desk, "3")
    assert (desk.host.runs, desk.host.starts) == ("3", 3)
    assert (desk.machine.phase, desk.machine.step) == (Phase.FAILED, "former versions")


def cut_off_behind_the_restart(desk: Desk) -> None:
    """An upgrade to 2, which runs well, and nobody has heard of it."""
    desk.create()
    before = desk.host
    for calls in range(10, 100):
        desk.host, desk.calls = copy.deepcopy(before), calls
        with pytest.raises(SwarmError, match="connection to h1 is lost"):
            upgraded(desk, "2")
        if desk.host.runs == "2":
            break
    desk.calls = 1 << 30
    assert (desk.host.starts, desk.machine.version) == (2, "1")


def test_nor_does_one_that_is_refused_after_an_earlier_one_was_cut_off(desk: Desk) -> None:
    cut_off_behind_the_restart(desk)
    desk.host.facts = FACTS.replace(b"systemd", b"sysvinit")
    with pytest.raises(SwarmError, match="process 1 is sysvinit"):
        upgraded(desk, "2")
    assert (desk.host.runs, desk.host.starts) == ("2", 2)
    desk.host.facts = FACTS
    upgraded(desk, "2")
    assert (desk.machine.phase, desk.machine.version) == (Phase.READY, "2")


class Away(Turns):
    """Of a manager that cannot be spared; or, with `later`, that does not find back."""

    def __init__(self, *, later: bool = False) -> None:
        super().__init__(monotonic)
        self._later = later

    async def apply(
        self, provisioner: Provisioner, remote: Remote, wanted: Wanted, tell: Tell
    ) -> Sequence[Change]:
        if not self._later:
            raise SwarmError(Code.REFUSED, "the others cannot do without it now")
        await provisioner.apply(remote, wanted, tell)
        raise StepError("h1", READY, SwarmError(Code.DEADLINE, "h1 did not become ready"))


def test_a_manager_that_cannot_be_spared_runs_on_as_it_did(desk: Desk) -> None:
    cut_off_behind_the_restart(desk)
    with pytest.raises(SwarmError, match="cannot do without it"):
        upgraded(desk, "2", Away())
    assert (desk.host.runs, desk.host.starts) == ("2", 2)


def test_one_that_does_not_find_back_into_its_swarm_goes_back(desk: Desk) -> None:
    desk.create()
    with pytest.raises(SwarmError, match=r"did not become ready; h1 runs 1 again"):
        upgraded(desk, "2", Away(later=True))
    assert (desk.host.runs, desk.machine.phase) == ("1", Phase.READY)


def test_somebody_else_at_the_host_is_named(desk: Desk) -> None:
    desk.host.locked_by = "held\n42\nbob@ws: upgrade of prod"
    with pytest.raises(SwarmError, match="h1 is locked by bob@ws: upgrade of prod"):
        desk.create()
    assert SETTINGS not in desk.host.tree


class Interrupted(PaperRemote):
    """Somebody breaks the lock while pip works, and takes it."""

    def __init__(self, host: PaperHost) -> None:
        super().__init__(host)
        self._renewed = asyncio.Event()

    async def run(self, argv: Sequence[str], **named: Any) -> Completed:
        done = await super().run(argv, **named)
        if self.host.locked_by and "renew" in argv:
            self._renewed.set()
        if "pip" in argv:
            self.host.locked_by = "held\n42\nbob@ws: installing it"
            await self._renewed.wait()
            self.commands.clear()
        return done


def test_whose_lock_is_broken_does_nothing_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[PaperRemote] = []

    @asynccontextmanager
    async def connect(machine: Machine) -> AsyncIterator[Remote]:
        ways.append(Interrupted(desk.host))
        yield ways[-1]

    monkeypatch.setattr(lock, "RENEW", 0.001)
    desk.create()
    monkeypatch.setattr(desk, "_connect", connect)
    with pytest.raises(SwarmError, match="the lock on the hosts was lost") as failed:
        upgraded(desk, "2")
    assert failed.value.code is Code.CONFLICT
    assert (desk.host.runs, desk.machine.phase) == ("1", Phase.FAILED)
    [way] = ways  # and nobody went back
    assert {tuple(argv[:3]) for argv in way.commands} <= {
        ("sh", "-s", "renew"),
        ("sh", "-s", "give"),
    }


def test_what_a_colleague_installed_is_taken_over_on_request_only(desk: Desk) -> None:
    entry = Entry("service", "start swarmd", "bob@ws", 1.0)
    book = Manifest(version="1", log=(entry,))
    desk.host.put(PATH, Node("file", encoded(book), 0o600))
    with pytest.raises(SwarmError, match="h1 was installed already, by bob@ws"):
        desk.create()
    assert SETTINGS not in desk.host.tree
    desk.do(desk.maker.provision(desk.machine, desk.parcel(), desk.said.append))
    assert desk.machine.phase is Phase.READY


def test_a_host_that_runs_swarmd_is_adopted_as_it_is(desk: Desk) -> None:
    host = desk.host
    host.tree["/opt/swarm/current"] = Node("link", b"0.9", 0)
    host.tree[SETTINGS] = Node("file", b'log_level = "debug"\napi_listen = "0.0.0.0:2376"\n')
    host.active, host.runs = "active", "0.9"
    desk.do(desk.maker.adopt(desk.record()))
    assert (desk.machine.phase, desk.machine.version) == (Phase.READY, "0.9")
    assert desk.machine.wish.settings == {"log_level": "debug"}
    assert desk.machine.api == ""


def test_an_upgrade_of_an_adopted_host_leaves_settings_and_certificates_alone(desk: Desk) -> None:
    theirs = b'log_level = "debug"\napi_listen = "0.0.0.0:2376"\n'
    host = desk.host
    host.tree["/opt/swarm/current"] = Node("link", b"0.9", 0)
    host.tree[SETTINGS] = Node("file", theirs)
    host.active, host.runs = "active", "0.9"
    desk.do(desk.maker.adopt(desk.record()))
    upgraded(desk, "2")
    assert (host.runs, host.hostname) == ("2", "old")
    assert settings_of(host.tree[SETTINGS].content) == settings_of(theirs)
    assert not any(path.startswith("/etc/swarm/api") for path in host.tree)
    installer = Installer("a", clock=lambda: 0.0, carried=lambda: desk.distribution("2"))
    provision = desk.with_installer(installer).provision
    desk.do(provision(desk.machine, desk.parcel("2"), desk.said.append))
    assert "/etc/swarm/api/cert.pem" in host.tree


def test_a_host_without_swarmd_is_not_adopted_nor_kept(desk: Desk) -> None:
    with pytest.raises(SwarmError, match="runs no swarmd"):
        desk.do(desk.maker.adopt(desk.record()))
    assert not desk.store.has("h1")


def test_a_member_of_a_swarm_is_removed_by_force_only(desk: Desk) -> None:
    desk.create()
    desk.host.swarm = "active"

    def remove(*, force: bool) -> None:
        work = desk.maker.remove(desk.machine, cleanup=True, force=force, tell=desk.said.append)
        desk.do(work)

    with pytest.raises(SwarmError, match="is in a swarm"):
        remove(force=False)
    assert desk.store.has("h1")
    remove(force=True)
    assert not desk.store.has("h1")
    assert SETTINGS not in desk.host.tree


def test_what_is_not_reached_is_forgotten_by_force_only(desk: Desk) -> None:
    desk.create()
    desk.calls = 1

    def remove(*, force: bool) -> None:
        work = desk.maker.remove(desk.machine, cleanup=True, force=force, tell=desk.said.append)
        desk.do(work)

    with pytest.raises(SwarmError, match="connection to h1 is lost"):
        remove(force=False)
    remove(force=True)
    assert not desk.store.has("h1")
    assert SETTINGS in desk.host.tree


def test_by_force_its_driver_is_asked_too_when_the_host_is_not_reached(
    desk: Desk, tmp_path: Path
) -> None:
    hosts, lent = tmp_path / "hosts", tmp_path / "hosts.lent"
    hosts.write_text("192.0.2.1\n")
    (tmp_path / "site").mkdir()

    def remove(*, force: bool) -> None:
        work = desk.maker.remove(desk.machine, cleanup=True, force=force, tell=desk.said.append)
        desk.do(work)

    def create() -> None:
        machine = inventory.add(desk.store, "h1", "pool", {"file": str(hosts)})
        desk.do(desk.maker.create(machine, desk.parcel(), desk.said.append))

    with installed(EXAMPLE, tmp_path / "site"):
        create()
        desk.calls = 1
        with pytest.raises(SwarmError, match="connection to h1 is lost"):
            remove(force=False)
        assert "h1" in lent.read_text()
        remove(force=True)
        assert "h1" not in lent.read_text()
        desk.calls = 1 << 30
        create()
        hosts.unlink()
        desk.said.clear()
        remove(force=True)
        assert any(line.endswith("it is forgotten all the same") for line in desk.said)
        assert not desk.store.has("h1")


def test_a_machine_without_cleanup_is_forgotten_and_its_host_stays(desk: Desk) -> None:
    desk.create()
    desk.do(desk.maker.remove(desk.machine, cleanup=False, force=False, tell=desk.said.append))
    assert not desk.store.has("h1")
    assert desk.host.active == "active"


def test_a_plan_changes_nothing(desk: Desk) -> None:
    machine = desk.do(inventory.make(desk.store, desk.record()))
    problems, changes = desk.do(desk.maker.plan(machine, desk.parcel()))
    assert problems == []
    assert changes[0].step == "packages"
    assert desk.host.picture() == PaperHost().picture()
