"""Managers that are worked on by themselves: who waits for whom, and who is refused."""

import asyncio
from collections.abc import Sequence

import pytest

from api.errors import Code, SwarmError
from hostkit.clock import monotonic
from machine.provisioning import Change, Kind, Tell, Wanted
from machine.remote import Remote
from machine.sparing import READY, Turns
from machine.steps.step import StepError
from machine.swarm.seen import TO_UNLOCK
from machine.swarm.waits import Patience
from tests.support.swarm_hosts import PlayedHost, PlayedProvisioner, PlayedSwarm

SOON = Patience(ready=0.2, quorum=0.05, look=0.001)
NEW = Wanted("2")


class Restarting(PlayedProvisioner):
    """Managers that it restarts are away meanwhile. `most`: so many were, at one time."""

    def __init__(self, broken: str = "") -> None:
        super().__init__(broken)
        self.most = 0
        self.prepared: list[str] = []

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        changes = await super().changes(remote, wanted)
        return [Change(Kind.RESTART, each.step, each.what) for each in changes]

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        self.prepared.append(remote.name)
        return (Change(Kind.ADD, "version", "bring it"),)

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        assert isinstance(remote, PlayedHost)
        seats = [n["Manager"] for n in remote.swarm.nodes.values() if "Manager" in n]
        seat = remote.swarm.nodes[remote.node_id].get("Manager", {})
        seat["Reachable"] = False
        self.most = max(self.most, sum(not each["Reachable"] for each in seats))
        await asyncio.sleep(0)
        try:
            return await super().apply(remote, wanted, tell)
        finally:
            seat["Reachable"] = wanted.version != self.broken


class Swarm:
    """Hosts with version 1: managers are called m1 and so on, workers w1."""

    def __init__(self, *names: str) -> None:
        self.swarm = PlayedSwarm(id="c1")
        self.hosts = {name: PlayedHost(name, self.swarm, "1") for name in names}
        for name, host in self.hosts.items():
            host._enter("manager" if name.startswith("m") else "worker")
        self.provisioner = Restarting()
        self.said: list[str] = []

    def away(self, name: str) -> None:
        self.swarm.nodes[f"id-{name}"]["Manager"]["Reachable"] = False

    def upgrade(self, *names: str, force: bool = False) -> dict[str, SwarmError]:
        """All at once; who failed."""

        async def work() -> list[Sequence[Change] | BaseException]:
            turns = Turns(monotonic, force=force, patience=SOON)
            one = (
                turns.apply(self.provisioner, self.hosts[name], NEW, self.said.append)
                for name in names
            )
            return await asyncio.gather(*one, return_exceptions=True)

        found = zip(names, asyncio.run(work()), strict=True)
        return {name: each for name, each in found if isinstance(each, SwarmError)}

    @property
    def versions(self) -> dict[str, str]:
        return {name: host.version for name, host in self.hosts.items()}


def test_managers_have_their_turn_one_after_another() -> None:
    swarm = Swarm("m1", "m2", "m3")
    assert swarm.upgrade("m1", "m2", "m3") == {}
    assert set(swarm.versions.values()) == {"2"}
    assert swarm.provisioner.most == 1
    assert sorted(swarm.provisioner.prepared) == ["m1", "m2", "m3"]


def test_a_manager_that_cannot_be_spared_runs_on_unless_it_is_forced() -> None:
    swarm = Swarm("m1", "m2", "m3")
    swarm.away("m3")
    refused = swarm.upgrade("m1")["m1"]
    assert refused.code is Code.REFUSED
    assert "the others cannot do without it" in refused.what
    assert "m3 not reached" in refused.why
    assert swarm.versions["m1"] == "1"
    # The one that is away takes nothing with it.
    assert "m3" not in swarm.upgrade("m3", force=True)
    swarm.away("m3")
    assert swarm.upgrade("m1", force=True) == {}
    assert swarm.versions["m1"] == "2"


def test_after_one_that_failed_no_other_manager_is_touched() -> None:
    swarm = Swarm("m1", "m2", "m3", "w1")
    swarm.provisioner = Restarting(broken="2")
    failed = swarm.upgrade("m1", "m2", "w1")
    assert "does not come up" in failed["m1"].what
    assert failed["m2"].why == "m1, a manager of the same swarm, failed before it"
    assert swarm.versions["m2"] == "1"
    assert swarm.versions["w1"] == "2"  # it has no regard to take


class OutOfTouch(Restarting):
    """What it restarts does not find back into the swarm."""

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        assert isinstance(remote, PlayedHost)
        remote.is_out_of_touch = True
        return await super().apply(remote, wanted, tell)


def test_a_manager_that_does_not_find_back_has_failed_at_that() -> None:
    swarm = Swarm("m1", "m2", "m3")
    swarm.provisioner = OutOfTouch()
    failed = swarm.upgrade("m1")["m1"]
    assert isinstance(failed, StepError)
    assert failed.step == READY
    assert "m1 did not become ready: after" in failed.why


@pytest.mark.parametrize("names", [("m1",), ("m1", "m2")])
def test_that_the_swarm_halts_meanwhile_is_told(names: tuple[str, ...]) -> None:
    swarm = Swarm(*names)
    assert swarm.upgrade("m1") == {}
    assert any("takes no changes while this manager" in line for line in swarm.said)


def test_a_manager_that_comes_up_locked_is_waited_for() -> None:
    swarm = Swarm("m1")
    swarm.swarm.spec["Autolock"] = True
    host = swarm.hosts["m1"]

    def before_answer(line: str) -> None:
        host.is_locked &= f"it is locked: {TO_UNLOCK}" not in swarm.said

    host.before_answer = before_answer
    assert swarm.upgrade("m1") == {}
    assert not host.is_locked


def test_workers_and_hosts_that_need_no_restart_wait_for_nobody() -> None:
    swarm = Swarm("m1", "m2", "m3", "w1")
    swarm.away("m3")
    assert swarm.upgrade("w1") == {}
    swarm.hosts["m1"].version = "2"
    assert swarm.upgrade("m1") == {}
    assert swarm.provisioner.prepared == []


def test_going_back_takes_its_turn_as_well() -> None:
    swarm = Swarm("m1", "m2", "m3")

    async def turn() -> None:
        turns = Turns(monotonic, patience=SOON)
        async with turns.turn(swarm.hosts["m1"], swarm.said.append):
            swarm.hosts["m1"].version = "0"

    asyncio.run(turn())
    swarm.away("m2")
    with pytest.raises(SwarmError, match="cannot do without it"):
        asyncio.run(turn())
