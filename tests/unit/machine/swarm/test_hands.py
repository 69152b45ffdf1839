"""From a file to hosts and back: looks, plans, hands, with played hosts at the other end."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from api.errors import Code, SwarmError
from hostkit.clock import monotonic
from machine.provisioning import Wanted
from machine.remote import Remote
from machine.swarm.actions import Plan
from machine.swarm.choices import Choices
from machine.swarm.events import Event
from machine.swarm.execute import Executor
from machine.swarm.hands import RemoteHands
from machine.swarm.look import Look
from machine.swarm.outcome import Outcome
from machine.swarm.plan import plan
from machine.swarm.seen import FORMER, TO_UNLOCK, HostSeen, Seen, Standing
from machine.swarm.waits import Patience
from machine.swarm.wanted import Availability, Hooks, HostWanted, Role, SwarmWanted
from machine.target import Target
from tests.support.swarm_hosts import PlayedHost, PlayedProvisioner, PlayedSwarm
from tests.support.unguarded import unguarded

CARRIED = "1"
SOON = Patience(ready=0.2, drain=0.5, quorum=0.2, look=0.001)


class Operator:
    """Wants things of hosts that are played."""

    def __init__(self, *names: str) -> None:
        self.swarm = PlayedSwarm()
        self.hosts = {name: PlayedHost(name, self.swarm) for name in names}
        self.wanted = SwarmWanted("s", {name: self._host(name) for name in names})
        self.provisioner = PlayedProvisioner()
        self.events: list[Event] = []

    def _host(self, name: str) -> HostWanted:
        role = Role.MANAGER if name.startswith("m") else Role.WORKER
        return HostWanted(name, Target(name), role=role)

    def change(self, name: str, **changed: Any) -> None:
        host = dataclasses.replace(self.wanted.hosts[name], **changed)
        self.wants(hosts={**self.wanted.hosts, name: host})

    def wants(self, **changed: Any) -> None:
        self.wanted = dataclasses.replace(self.wanted, **changed)

    def install(self, host: HostWanted, version: str) -> Wanted:
        return Wanted(self.wanted.version or version or CARRIED)

    def ways(self) -> Mapping[str, Remote | SwarmError]:
        gone = SwarmError(Code.UNAVAILABLE, "no route to host")
        return {name: gone if each.is_away else each for name, each in self.hosts.items()}

    async def _apply(self, choices: Choices) -> tuple[Plan, Outcome]:
        ways = self.ways()
        look = Look(self.wanted, ways, self.provisioner, self.install, together=3)
        seen = await look.take()
        made = plan(self.wanted, seen, choices)
        remotes = {n: way for n, way in ways.items() if not isinstance(way, SwarmError)}
        hands = RemoteHands(
            self.wanted,
            seen,
            remotes,
            self.provisioner,
            self.install,
            patience=SOON,
            clock=monotonic,
        )
        executor = Executor(hands, self.events.append, together=3, guard=unguarded)
        return made, await executor.run(made)

    def apply(self, choices: Choices | None = None) -> tuple[Plan, Outcome]:
        return asyncio.run(self._apply(choices or Choices()))

    def applied(self, choices: Choices | None = None) -> None:
        """Once, with success, and then there is nothing left to do."""
        made, outcome = self.apply(choices)
        assert not made.refusals, made.refusals
        assert outcome.failures == {}
        again, _ = self.apply(choices)
        assert again.is_empty, again

    def roles(self) -> dict[str, str]:
        nodes = self.swarm.nodes.values()
        return {
            each["Description"]["Hostname"]: each["Spec"].get("Role", "worker") for each in nodes
        }

    def spec(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.swarm.nodes[f"id-{name}"]["Spec"]
        return found


def three() -> Operator:
    operator = Operator("m1", "m2", "w1")
    operator.applied()
    return operator


def test_bare_hosts_become_a_swarm() -> None:
    operator = Operator("m1", "m2", "w1")
    operator.wants(options={"task_history_limit": 3})
    operator.change("w1", labels={"zone": "a"}, availability=Availability.PAUSE)
    operator.applied()
    assert operator.roles() == {"m1": "manager", "m2": "manager", "w1": "worker"}
    assert operator.spec("w1")["Labels"] == {"zone": "a"}
    assert operator.swarm.spec == {"TaskHistoryLimit": 3}


def test_no_token_is_in_a_command_line_or_told() -> None:
    operator = three()
    lines = [line for host in operator.hosts.values() for line in host.lines]
    told = [f"{event.action} {event.text}" for event in operator.events]
    assert not any("TOKEN" in each for each in [*lines, *told])


def test_what_changes_is_changed() -> None:
    operator = three()
    operator.change("w1", role=Role.MANAGER, labels={"a": "1"})
    operator.change("m2", role=Role.WORKER, availability=Availability.DRAIN)
    operator.wants(options={"task_history_limit": 7})
    operator.applied()
    assert operator.roles() == {"m1": "manager", "m2": "worker", "w1": "manager"}
    assert operator.spec("m2")["Availability"] == "drain"
    assert operator.swarm.spec["TaskHistoryLimit"] == 7
    operator.change("w1", labels={})
    operator.applied()
    assert operator.spec("w1")["Labels"] == {}


def test_hosts_go_once_they_are_empty() -> None:
    operator = three()
    rows = [{"Name": f"web.{n}", "CurrentState": "Running 1 minute ago"} for n in (1, 2)]
    operator.swarm.tasks["id-w1"] = rows
    operator.change("w1", is_absent=True)
    operator.change("m2", is_absent=True)
    operator.applied(Choices(cleanup=True))
    assert operator.roles() == {"m1": "manager"}
    assert operator.hosts["w1"].version == ""
    assert operator.swarm.tasks["id-w1"] == []


def test_a_removal_that_was_cut_off_goes_on() -> None:
    operator = three()
    operator.change("w1", is_absent=True)

    def cut(line: str) -> None:
        if line.startswith("swarm leave"):
            raise SwarmError(Code.UNAVAILABLE, "the way was cut")

    operator.hosts["w1"].before_answer = cut
    _, outcome = operator.apply()
    assert list(outcome.failures) == ["w1"]
    assert "w1" not in operator.roles()
    operator.hosts["w1"].before_answer = lambda line: None
    operator.applied()
    assert operator.hosts["w1"].node_id == ""


def test_a_worker_that_does_not_become_empty_stays() -> None:
    operator = three()
    operator.swarm.tasks["id-w1"] = [{"Name": "web.1", "CurrentState": "Running"}] * 1000
    operator.change("w1", is_absent=True)
    _, outcome = operator.apply()
    assert "tasks are left: web.1 (running)" in str(outcome.failures["w1"])
    assert "w1" in operator.roles()


def test_an_upgrade_empties_workers_and_gives_their_availability_back() -> None:
    operator = three()
    operator.wants(version="2")
    operator.applied()
    versions = {each.version for each in operator.hosts.values()}
    assert versions == {"2"}
    assert operator.spec("w1") == {"Labels": {}, "Availability": "active"}
    drained = f"node update --availability drain --label-add {FORMER}=active id-w1"
    assert any(drained in host.lines for host in operator.hosts.values())


def test_a_version_that_does_not_come_up_goes_back() -> None:
    operator = three()
    operator.provisioner = PlayedProvisioner(broken="2")
    operator.wants(version="2")
    _, outcome = operator.apply()
    assert outcome.undone == ["m2"]  # m1 leads, and would have been the last
    assert {name: host.version for name, host in operator.hosts.items()} == {
        "m1": "1",
        "m2": "1",
        "w1": "1",
    }


def test_what_waited_before_an_upgrade_may_wait_afterwards() -> None:
    operator = three()
    looping = {"Name": " \\_ loop.1", "CurrentState": "Ready 1 second ago"}
    operator.swarm.tasks["id-m1"] = [looping]
    operator.wants(version="2")
    operator.applied()
    operator.wants(version="3")
    rows = operator.swarm.tasks["id-m2"] = []

    def breaks(line: str) -> None:
        if operator.hosts["m2"].version == "3":
            rows[:] = [{"Name": "web.1", "CurrentState": "Preparing 1 second ago"}]

    operator.hosts["m1"].before_answer = breaks
    _, outcome = operator.apply()
    assert "1 tasks do not run yet: web.1 (preparing)" in str(outcome.failures["m2"])
    assert outcome.undone == ["m2"]


def test_another_manager_answers_when_one_does_not() -> None:
    operator = three()
    operator.hosts["w9"] = PlayedHost("w9", operator.swarm)
    operator.wants(hosts={**operator.wanted.hosts, "w9": operator._host("w9")})
    first = operator.hosts["m1"]

    def silent(line: str) -> None:
        if line.startswith("swarm join-token"):
            raise SwarmError(Code.DEADLINE, "m1 is busy")

    first.before_answer = silent
    operator.applied()
    assert operator.roles()["w9"] == "worker"


def test_a_host_whose_daemon_was_down_is_known_again_once_it_runs() -> None:
    """It is a node: so nobody joins it anew, and there is no second swarm."""
    operator = three()
    worker = operator.hosts["w1"]
    worker.version = ""
    worker.files["/var/lib/swarm/swarm/membership.json"] = b"{}"
    seen = asyncio.run(
        Look(
            operator.wanted,
            operator.ways(),
            operator.provisioner,
            operator.install,
            together=1,
        ).take()
    )
    assert seen.hosts["w1"].standing is Standing.UNKNOWN
    operator.applied()
    assert operator.roles()["w1"] == "worker"
    assert not any(line.startswith("swarm join") for line in worker.lines[2:])


def test_the_only_copy_of_a_volume_is_seen() -> None:
    operator = three()
    operator.swarm.homes = {"data": "w1", "elsewhere": ""}
    operator.change("w1", is_absent=True)
    made, _ = operator.apply()
    assert "w1 holds the only copy of data" in made.refusals[0]


def unavailable(times: int, command: str) -> Callable[[str], None]:
    """What makes a host's daemon silent for the first answers to a command."""
    left = [times]

    def before_answer(line: str) -> None:
        if line.startswith(command) and left[0]:
            left[0] -= 1
            raise SwarmError(Code.UNAVAILABLE, "the daemon does not answer")

    return before_answer


def test_a_daemon_that_answers_late_after_its_join_is_waited_for() -> None:
    operator = three()
    late = operator.hosts["w2"] = PlayedHost("w2", operator.swarm)
    operator.wants(hosts={**operator.wanted.hosts, "w2": operator._host("w2")})
    silent = unavailable(3, "system info")

    def before_answer(line: str) -> None:
        if late.node_id:
            silent(line)

    late.before_answer = before_answer
    operator.applied()


def test_a_node_is_ready_when_it_says_so_itself() -> None:
    """Its managers have not noticed yet that it was away."""
    operator = three()
    operator.wants(version="2")
    host = operator.hosts["m2"]
    host.is_out_of_touch = True
    _, outcome = operator.apply()
    assert "it has not reached the managers yet" in str(outcome.failures["m2"])
    assert operator.hosts["m1"].version == "1"  # its turn did not come


@pytest.mark.parametrize("names", [("m1",), ("m1", "m2", "m3")])
def test_a_manager_that_comes_up_locked_is_waited_for(names: tuple[str, ...]) -> None:
    """Whoever gives it the key is told to; where nobody does, it does not become ready."""
    operator = Operator(*names)
    operator.applied()
    operator.swarm.spec["Autolock"] = True

    def unlocked(host: PlayedHost) -> Callable[[str], None]:
        def before_answer(line: str) -> None:
            told = [each.text for each in operator.events if each.host == host.name]
            host.is_locked &= f"it is locked: {TO_UNLOCK}" not in told

        return before_answer

    for host in operator.hosts.values():
        host.before_answer = unlocked(host)
    operator.wants(version="2")
    operator.applied()
    operator.hosts["m1"].before_answer = lambda line: None
    operator.wants(version="3")
    _, outcome = operator.apply()
    assert f"it is locked: {TO_UNLOCK}" in str(outcome.failures["m1"])


def test_the_leader_is_found_though_a_manager_before_it_is_silent() -> None:
    operator = Operator("m1", "m2", "m3")
    operator.applied()
    nodes = operator.swarm.nodes
    for key, node in nodes.items():
        node["Manager"]["Leader"] = key == "id-m3"
    operator.hosts["m1"].before_answer = unavailable(1, "system info")
    seen = Seen({name: HostSeen(is_manager=True) for name in operator.hosts})
    hands = RemoteHands(
        operator.wanted,
        seen,
        operator.hosts,
        operator.provisioner,
        operator.install,
        patience=SOON,
        clock=monotonic,
    )
    assert asyncio.run(hands.leader()) == "m3"


def test_a_leader_that_has_not_heard_of_the_others_yet_is_asked_again() -> None:
    operator = three()
    operator.change("m2", is_absent=True)
    seat = operator.swarm.nodes["id-m2"]["Manager"]
    seat["Reachable"] = False
    asked = []

    def before_answer(line: str) -> None:
        if line.startswith("node inspect"):
            asked.append(line)
            seat["Reachable"] = len(asked) > 2

    operator.hosts["m1"].before_answer = before_answer

    def look() -> Seen:
        parts = (operator.wanted, operator.ways(), operator.provisioner, operator.install)
        return asyncio.run(Look(*parts, together=1, pause=0.001).take())

    assert look().nodes["id-m2"].is_reachable
    asked.clear()
    operator.hosts["m2"].is_out_of_touch = True  # it says itself that it is not there
    assert not look().nodes["id-m2"].is_reachable
    assert len(asked) == 1


def test_hooks_run_on_their_host_and_one_that_fails_ends_what_is_done_there() -> None:
    operator = Operator("m1", "w1", "w2")
    operator.change("w1", hooks=Hooks(("take out",), ("put back",)))
    operator.change("w2", hooks=Hooks(("fails",), ("put back",)))
    _, outcome = operator.apply()
    assert list(outcome.failures) == ["w2"]
    assert outcome.failures["w2"].why == "exit status 7: no such balancer"
    lines = [line for line in operator.hosts["w1"].lines if "hook" in line or "join" in line]
    assert (lines[0], lines[-1]) == ("hook take out", "hook put back")
    assert not any("hook" in line for line in operator.hosts["m1"].lines)
    assert [line for line in operator.hosts["w2"].lines if "hook" in line] == ["hook fails"]
    operator.change("w2", hooks=Hooks())
    operator.applied()


def test_a_hook_that_fails_after_the_work_is_left_to_the_operator() -> None:
    operator = three()
    operator.change("w1", labels={"a": "1"}, hooks=Hooks((), ("fails", "put back")))
    _, outcome = operator.apply()
    assert "run it there by hand: swarmctl machine ssh w1" in outcome.failures["w1"].remedy
    assert operator.hosts["w1"].lines[-2:] == ["hook fails", "hook put back"]
    again, _ = operator.apply()
    assert again.is_empty
