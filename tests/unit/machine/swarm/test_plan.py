"""Plans: what is refused, what is warned of, and the order of what is done."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from machine.provisioning import Change, Kind, Problem
from machine.swarm.actions import (
    Action,
    Adjust,
    Drain,
    Init,
    Install,
    Join,
    Leave,
    Plan,
    Remove,
    Restore,
    Revert,
    Run,
    SetOptions,
    SetRole,
)
from machine.swarm.choices import Choices
from machine.swarm.look import in_scope
from machine.swarm.plan import UPGRADES, plan
from machine.swarm.seen import FORMER, TO_UNLOCK, HostSeen, NodeSeen, Seen, Standing
from machine.swarm.wanted import Availability, Hooks, HostWanted, Role, SwarmWanted
from machine.target import Target

BARE = HostSeen(changes=(Change(Kind.ADD, "packages", "crun"),))
UP = HostSeen(is_installed=True, has_daemon=True, version="1", previous="0")


def host(name: str, **more: Any) -> HostWanted:
    role = Role.MANAGER if name.startswith("m") else Role.WORKER
    return HostWanted(name, **{"target": Target(name), "role": role, **more})


def file(*hosts: HostWanted, **more: Any) -> SwarmWanted:
    return SwarmWanted("s", {each.name: each for each in hosts}, **more)


def member(name: str, **more: Any) -> HostSeen:
    is_manager = name.startswith("m")
    place = {"standing": Standing.ACTIVE, "node_id": f"id-{name}", "cluster_id": "c"}
    return dataclasses.replace(UP, is_manager=is_manager, **{**place, **more})


def node(name: str, **more: Any) -> NodeSeen:
    seated = name.startswith("m")
    usual: dict[str, Any] = {
        "hostname": name,
        "role": Role.MANAGER if seated else Role.WORKER,
        "is_seated": seated,
        "is_reachable": seated,
        "is_ready": True,
    }
    return NodeSeen(f"id-{name}", **{**usual, **more})


def swarm(*names: str, hosts: Mapping[str, HostSeen] = {}, **nodes: NodeSeen) -> Seen:
    """A swarm of these; others of `hosts` are not in it; `nodes` stand for those by that name."""
    found = {name: nodes.get(name, node(name)) for name in names}
    return Seen(
        {**{name: member(name) for name in names}, **hosts},
        {each.id: each for each in found.values()},
        "c",
    )


def refused(made: Plan) -> str:
    assert made.refusals
    assert not made.phases
    return " | ".join(made.refusals)


def told(made: Plan) -> list[tuple[str, type]]:
    assert not made.refusals, made.refusals
    return [(each.host, type(each)) for each in made.actions() if each.kind is not None]


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ({"m1": HostSeen(error="no route")}, "m1 is not reached: no route"),
        (
            {"m1": dataclasses.replace(BARE, problems=(Problem("no sudo", "install it"),))},
            "m1: no sudo: install it",
        ),
        ({"m2": HostSeen(error="refused")}, "m2 is not reached: refused"),
        ({"m2": HostSeen(standing=Standing.UNKNOWN)}, "m2 was in a swarm, and swarmd does not"),
        ({"w1": HostSeen(standing=Standing.UNKNOWN)}, "w1 was in a swarm, and swarmd does not"),
        ({"w1": HostSeen(error="x")}, "w1 is not reached: x"),
        ({"m2": dataclasses.replace(UP, standing=Standing.LOCKED)}, "m2 is locked"),
    ],
)
def test_no_swarm_is_made_where_it_is_not_sure_that_none_is(
    hosts: dict[str, HostSeen], why: str
) -> None:
    wanted = file(host("m1"), host("m2"), host("m3"), host("w1"))
    seen = Seen({**dict.fromkeys(wanted.hosts, BARE), **hosts})
    assert why in refused(plan(wanted, seen, Choices()))


def test_a_manager_out_of_the_limit_has_to_be_reached_as_well_before_a_swarm_is_made() -> None:
    wanted = file(host("m1"), host("m2"), host("m3"))
    seen = Seen({"m1": BARE, "m2": HostSeen(error="gone"), "m3": BARE})
    why = refused(plan(wanted, seen, Choices(limit=frozenset({"m1"}))))
    assert "no swarm was found, but m2 is not reached" in why
    only_worker = file(host("m1"), host("w1"))
    seen = Seen({"m1": BARE, "w1": BARE})
    limited = plan(only_worker, seen, Choices(limit=frozenset({"w1"})))
    assert "--limit has to name a manager" in refused(limited)


@pytest.mark.parametrize("limit", [(), ("m2",)])
def test_a_manager_that_is_to_go_has_to_be_reached_before_a_swarm_is_made(
    limit: tuple[str, ...],
) -> None:
    """It may be the one that holds the swarm."""
    wanted = in_scope(file(host("m1", is_absent=True), host("m2")), limit)
    assert list(wanted.hosts) == ["m1", "m2"]
    choices = Choices(limit=frozenset(limit))
    seen = Seen({"m1": HostSeen(error="no route"), "m2": BARE})
    why = refused(plan(wanted, seen, choices))
    assert "no swarm was found, but m1, which is to be absent, is not reached" in why
    # Where it is reached and in no swarm, there is none.
    assert told(plan(wanted, Seen({"m1": BARE, "m2": BARE}), choices)) == [
        ("m2", Install),
        ("m2", Init),
    ]


def test_hosts_of_two_swarms_and_the_same_host_twice_are_refused() -> None:
    wanted = file(host("m1"), host("w1"), host("w2"))
    other = member("w1", cluster_id="other")
    seen = swarm("m1", hosts={"w1": other, "w2": UP})
    assert "w1 is in another swarm (other, not c)" in refused(plan(wanted, seen, Choices()))
    seen = swarm("m1", "w1", hosts={"w2": member("w1")})
    assert "w1 and w2 are the same host" in refused(plan(wanted, seen, Choices()))


def test_managers_that_cannot_be_asked_end_it() -> None:
    seen = dataclasses.replace(swarm("m1"), trouble="no leader")
    why = refused(plan(file(host("m1")), seen, Choices()))
    assert "the managers cannot be asked: no leader" in why


def test_what_is_settled_with_a_swarm_is_not_changed_later() -> None:
    seen = dataclasses.replace(swarm("m1"), spec={"DataPathPort": 4790, "Autolock": True})
    same = file(host("m1"), options={"data_path_port": 4790, "autolock": True})
    assert plan(same, seen, Choices()).is_empty
    other = file(host("m1"), options={"data_path_port": 4789})
    assert "swarm.data_path_port cannot be 4789" in refused(plan(other, seen, Choices()))
    later = file(host("m1"), options={"autolock": False, "cert_expiry": "24h"})
    assert told(plan(later, seen, Choices())) == [("m1", SetOptions)]


def test_too_few_managers_are_never_left() -> None:
    away = node("m3", is_reachable=False)
    seen = swarm("m1", "m2", "m3", m3=away)
    wanted = file(host("m1"), host("m2", is_absent=True), host("m3"))
    assert "m2 cannot be taken out of the managers now" in refused(plan(wanted, seen, Choices()))
    # The one that is away may go: then two of two are there.
    lost = file(host("m1"), host("m2"), host("m3", is_absent=True))
    assert (("m3", Remove)) in told(plan(lost, seen, Choices()))
    upgrade = file(host("m1"), host("m2"), host("m3"), version="2")
    assert "m1 cannot be restarted now" in refused(plan(upgrade, seen, Choices()))
    alone = file(host("m1", is_absent=True), host("m9"))
    both = swarm("m1", hosts={"m9": HostSeen(error="off")})
    assert "m9 is not reached" in refused(plan(alone, both, Choices()))


def test_the_only_copy_of_data_is_not_removed_unasked() -> None:
    seen = dataclasses.replace(swarm("m1", "w1"), homes={"w1": ("data", "more")})
    wanted = file(host("m1"), host("w1", is_absent=True))
    assert "w1 holds the only copy of data, more" in refused(plan(wanted, seen, Choices()))
    assert told(plan(wanted, seen, Choices(may_lose_data=True))) == [
        ("w1", Drain),
        ("w1", Remove),
        ("w1", Leave),
    ]


def test_the_order_of_a_new_swarm() -> None:
    wanted = file(host("w1", labels={"a": "b"}), host("m1"), host("m2"))
    seen = Seen(dict.fromkeys(wanted.hosts, BARE))
    made = plan(wanted, seen, Choices())
    assert [(phase.title, [lane.host for lane in phase.lanes]) for phase in made.phases] == [
        ("Installation", ["w1", "m1", "m2"]),
        ("First manager", ["m1"]),
        ("Managers", ["m2"]),
        ("Workers", ["w1"]),
    ]
    assert told(made)[-2:] == [("w1", Join), ("w1", Adjust)]
    assert "2 managers bear the loss of as many as 1 do" in made.warnings[0]


@pytest.mark.parametrize(
    ("managers", "kind", "warned"),
    [
        (("m1",), Kind.RESTART, True),
        (("m1", "m2"), Kind.RESTART, True),
        (("m1",), Kind.ADD, False),
        (("m1", "m2", "m3"), Kind.RESTART, False),
    ],
)
def test_a_restart_that_halts_the_swarm_is_warned_of(
    managers: tuple[str, ...], kind: Kind, warned: bool
) -> None:
    found = member("m1", changes=(Change(kind, "swarmd", "restart swarmd"),))
    made = plan(file(*map(host, managers)), swarm(*managers, hosts={"m1": found}), Choices())
    assert told(made) == [("m1", Install)]
    assert any("takes no changes while" in each for each in made.warnings) == warned


NOTE_THE_KEY = "swarmctl swarm unlock-key"


@pytest.mark.parametrize(
    ("seen", "spec", "more", "warned"),
    [
        (Seen({"m1": BARE}), {}, {}, NOTE_THE_KEY),
        (Seen({"m1": BARE}), {}, {"options": {"autolock": False}}, ""),
        (swarm("m1"), {}, {}, NOTE_THE_KEY),
        (swarm("m1"), {"Autolock": True}, {}, ""),
        (swarm("m1"), {"Autolock": True}, {"options": {"autolock": False}}, ""),
        (swarm("m1"), {"Autolock": True}, {"version": "2"}, f"(m1): {TO_UNLOCK}"),
        (swarm("m1"), {}, {"version": "2", "options": {}}, ""),
    ],
)
def test_what_autolock_asks_of_the_operator_is_told_before(
    seen: Seen, spec: dict[str, Any], more: dict[str, Any], warned: str
) -> None:
    wanted = file(host("m1"), **{"options": {"autolock": True}, **more})
    made = plan(wanted, dataclasses.replace(seen, spec=spec), Choices())
    found = [each for each in made.warnings if "unlock" in each]
    assert [each.endswith(warned) for each in found] == ([True] if warned else [])


def test_a_manager_that_becomes_a_worker_is_not_locked() -> None:
    changed = member("m2", changes=(Change(Kind.RESTART, "swarmd", "restart swarmd"),))
    seen = dataclasses.replace(
        swarm("m1", "m2", "m3", hosts={"m2": changed}), spec={"Autolock": True}
    )
    made = plan(file(host("m1"), host("m2", role=Role.WORKER), host("m3")), seen, Choices())
    assert told(made) == [("m2", SetRole), ("m2", Install)]
    assert not any("locked" in each for each in made.warnings)


def test_nothing_is_warned_of_where_nothing_is_done() -> None:
    made = plan(file(host("m1")), swarm("m1"), Choices())
    assert made.is_empty
    assert made.warnings == ()


def test_a_dead_manager_is_replaced() -> None:
    """Its host is gone; the managers hold it for down, and a new host stands in the file."""
    dead = node("m3", is_reachable=False, is_ready=False, is_down=True)
    gone = HostSeen(error="no route to host")
    seen = swarm("m1", "m2", "m3", m3=dead, hosts={"m3": gone, "m4": BARE})
    wanted = file(host("m1"), host("m2"), host("m3", is_absent=True), host("m4"))
    assert told(plan(wanted, seen, Choices())) == [
        ("m4", Install),
        ("m3", SetRole),
        ("m3", Remove),
        ("m4", Join),
    ]
    up = swarm("m1", "m2", "m3", hosts={"m3": gone, "m4": BARE})
    assert "m3 is to be absent and is not reached" in refused(plan(wanted, up, Choices()))


def test_a_dead_manager_that_was_installed_anew_is_replaced_by_itself() -> None:
    """Same line, same name, a bare host: its former node goes before it joins."""
    dead = node("m3", is_reachable=False, is_ready=False, is_down=True)
    seen = swarm("m1", "m2", "m3", m3=dead, hosts={"m3": BARE})
    wanted = file(host("m1"), host("m2"), host("m3"))
    made = plan(wanted, seen, Choices())
    assert told(made) == [("m3", Install), ("m3", Join)]
    assert "node m3 (down, and counts as a manager) is in the swarm and in no line" in made.notes[0]
    assert told(plan(wanted, seen, Choices(prune=True))) == [
        ("m3", Install),
        ("m3", SetRole),
        ("m3", Remove),
        ("m3", Join),
    ]


def test_a_host_that_is_gone_is_known_by_its_address_too() -> None:
    """The file calls it otherwise than it calls itself."""
    seats = {"is_reachable": False, "is_ready": False, "is_down": True}
    dead = node("m3", **seats, addresses=frozenset({"192.0.2.3"}))
    seen = swarm("m1", "m2", "m3", m3=dead, hosts={"old": HostSeen(error="off")})
    seen = dataclasses.replace(seen, hosts={k: v for k, v in seen.hosts.items() if k != "m3"})
    old = host("old", target=Target("192.0.2.3"), is_absent=True)
    for one in (old, dataclasses.replace(old, target=Target("x"), advertise="192.0.2.3")):
        made = plan(file(host("m1"), host("m2"), one), seen, Choices())
        assert told(made) == [("old", SetRole), ("old", Remove)]
        assert made.notes == ()
    other = dataclasses.replace(old, target=Target("192.0.2.9"))
    made = plan(file(host("m1"), host("m2"), other), seen, Choices())
    assert made.is_empty
    assert "node m3 (down, and counts as a manager) is in the swarm and in no line" in made.notes[0]
    # Of a host that is to go nobody has to know which node it was.
    pruned = plan(file(host("m1"), host("m2"), other), seen, Choices(prune=True))
    assert told(pruned) == [("m3", SetRole), ("m3", Remove)]
    two = swarm(
        "m1", "m2", "m3", m3=dead, m2=node("m2", addresses=dead.addresses), hosts=seen.hosts
    )
    two = dataclasses.replace(two, hosts={**seen.hosts, "m2": HostSeen(error="off")})
    assert "several nodes have its name or address: id-m2, id-m3" in refused(
        plan(file(host("m1"), old), two, Choices())
    )


def test_a_node_that_no_line_names_stays_unless_it_is_pruned() -> None:
    seen = swarm("m1", "w1", "w9", hosts={})
    seen = dataclasses.replace(seen, hosts={k: v for k, v in seen.hosts.items() if k != "w9"})
    wanted = file(host("m1"), host("w1"))
    made = plan(wanted, seen, Choices())
    assert made.is_empty
    assert "node w9 is in the swarm and in no line" in made.notes[0]
    assert told(plan(wanted, seen, Choices(prune=True))) == [("w9", Drain), ("w9", Remove)]
    lost = dataclasses.replace(seen, hosts={**seen.hosts, "w1": HostSeen(error="x")})
    refusal = refused(plan(wanted, lost, Choices(prune=True, may_skip=True)))
    assert "--prune needs to know which node w1 is" in refusal
    both = Choices(prune=True, limit=frozenset({"w1"}))
    assert "leave --limit out" in refused(plan(wanted, seen, both))


@pytest.mark.parametrize("name", ["w1", "m3"])
def test_a_node_whose_daemon_is_silent_is_no_stranger(name: str) -> None:
    down = node(name, is_ready=False, is_down=True, is_reachable=False)
    silent = HostSeen(is_installed=True, standing=Standing.UNKNOWN)
    seen = swarm("m1", "m2", name, **{name: down}, hosts={name: silent})
    wanted = file(host("m1"), host("m2"), host(name))
    assert plan(wanted, seen, Choices()).notes == ()
    why = refused(plan(wanted, seen, Choices(prune=True)))
    assert f"--prune needs to know which node {name} is, and swarmd does not answer there" in why


def test_a_worker_that_is_not_reached_may_be_left_out() -> None:
    seen = swarm("m1", "w1", hosts={"w1": HostSeen(error="off"), "w2": BARE})
    wanted = file(host("m1"), host("w1"), host("w2"))
    made = plan(wanted, seen, Choices(may_skip=True))
    assert told(made) == [("w2", Install), ("w2", Join)]
    assert "w1 is left out: off" in made.warnings


def test_what_the_file_does_not_say_is_left_alone() -> None:
    drained = node("w1", availability=Availability.DRAIN, labels={"by": "hand"})
    seen = swarm("m1", "w1", w1=drained)
    assert plan(file(host("m1"), host("w1")), seen, Choices()).is_empty
    said = file(host("m1"), host("w1", availability=Availability.ACTIVE, labels={}))
    [adjust] = list(plan(said, seen, Choices()).actions())
    assert adjust == Adjust("w1", dropped=("by",), availability=Availability.ACTIVE)


def test_another_version_goes_round_managers_first_and_workers_empty() -> None:
    seen = swarm("m1", "m2", "m3", "w1", "w2")
    wanted = file(*map(host, seen.hosts), version="2")
    made = plan(wanted, seen, Choices(batch=2))
    assert [(p.title, p.leader_last, p.together) for p in made.phases] == [
        ("Upgrade of managers", True, 1),
        ("Upgrade of workers", False, 2),
    ]
    lane = made.phases[1].lanes[0]
    assert [type(each) for each in lane.actions if each.kind] == [Drain, Install, Restore]
    assert lane.undo[0] == Revert("w1", "1")
    kept = plan(wanted, seen, Choices(drains=False))
    assert Drain not in [type(each) for each in kept.actions()]


def test_what_an_upgrade_left_drained_is_given_back() -> None:
    left = node("w1", availability=Availability.DRAIN, labels={FORMER: "pause"})
    made = plan(file(host("m1"), host("w1")), swarm("m1", "w1", w1=left), Choices())
    assert list(made.actions()) == [Restore("w1")]


def test_going_back_installs_nothing() -> None:
    seen = swarm("m1", "w1")
    choices = Choices(goes_back=True)
    made = plan(file(host("m1"), host("w1"), version="0"), seen, choices, only=UPGRADES)
    assert told(made) == [("m1", Revert), ("w1", Drain), ("w1", Revert), ("w1", Restore)]


HOOKS = Hooks(("apply in",), ("apply out",), ("upgrade in",), ("upgrade out",))


def shown(actions: Iterable[Action]) -> list[str]:
    return [each.text if isinstance(each, Run) else type(each).__name__ for each in actions]


def test_hooks_stand_around_what_is_done_with_a_host() -> None:
    wanted = file(host("m1"), host("w1", hooks=HOOKS), version="2")
    made = plan(wanted, swarm("m1", hosts={"w1": BARE}), Choices())
    assert shown(each for each in made.actions() if each.host == "w1") == [
        "run apply in", "Install", "Join", "AwaitReady", "run apply out",
    ]  # fmt: skip
    assert not any(isinstance(each, Run) and each.host != "w1" for each in made.actions())


def test_hooks_of_an_upgrade_and_of_the_way_back() -> None:
    wanted = file(host("m1"), host("w1", hooks=HOOKS), version="2")
    made = plan(wanted, swarm("m1", "w1"), Choices(), only=UPGRADES)
    lane = made.phases[-1].lanes[0]
    assert shown(lane.actions) == [
        "run upgrade in", "Drain", "Install", "AwaitReady", "Restore", "run upgrade out",
    ]  # fmt: skip
    assert shown(lane.undo) == ["Revert", "AwaitReady", "Restore", "run upgrade out"]
    both = plan(wanted, swarm("m1", "w1"), Choices()).phases[-1].lanes[0]
    assert shown(both.actions)[:2] == ["run apply in", "run upgrade in"]
    assert shown(both.actions)[-2:] == ["run upgrade out", "run apply out"]


def test_no_hooks_where_nothing_is_done_or_a_node_goes() -> None:
    wanted = file(host("m1", hooks=HOOKS), host("w1", hooks=HOOKS))
    assert plan(wanted, swarm("m1", "w1"), Choices()).is_empty
    gone = file(host("m1", hooks=HOOKS), host("w1", hooks=HOOKS, is_absent=True))
    made = plan(gone, swarm("m1", "w1"), Choices())
    assert shown(made.actions()) == ["Drain", "Remove", "Leave"]
    options = file(host("m1", hooks=HOOKS), options={"task_history_limit": 9})
    assert shown(plan(options, swarm("m1"), Choices()).actions()) == ["SetOptions"]
