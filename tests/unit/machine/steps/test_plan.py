"""What the steps find to do on hosts in all kinds of states."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from machine.distribution.own import Distribution
from machine.facts.facts import Facts
from machine.layout import COMMAND, CURRENT, SETTINGS, UNIT
from machine.manifest import Manifest
from machine.packages import ALL
from machine.provisioning import Kind, Wanted
from machine.steps import compose, settings
from machine.steps.identity import with_own_name
from machine.steps.neighbours import KEEP_ROUTES, KEEP_RUNNING, Beside
from machine.steps.seen import Place, Seen

WANTED = Wanted("2", {"log_level": "debug"}, files=[("/etc/swarm/api/key.pem", b"key", 0o600)])
CARRIED = Distribution("2", Path("swarmctl-2-py3-none-any.whl"))
FACTS = Facts(features={"wireguard": "loadable"})


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file(content: bytes, mode: int = 0o644) -> Place:
    return Place("file", mode, "root:root", sha(content))


TEXT = settings.text(WANTED.settings)
DONE = Seen(
    places={
        SETTINGS: file(TEXT),
        UNIT: file(compose.unit()),
        COMMAND: Place("link", content=f"{CURRENT}/bin/swarmctl"),
        CURRENT: Place("link", content="2"),
        "/etc/swarm/api/key.pem": file(b"key", 0o600),
    },
    missing=frozenset({"wireguard-go"}),
    groups=frozenset({"swarm"}),
    hostname="h1",
    python="3.11",
    versions={"1": "3.11", "2": "3.11"},
    active="active",
    enabled="enabled",
    manifest=Manifest(
        version="2",
        previous="1",
        versions=("1", "2"),
        running={"version": "2", "unit": sha(compose.unit()), "settings": sha(TEXT)},
    ),
)
MADE_ANEW = ("!", "service", "its version is made anew")


def plan(seen: Seen, wanted: Wanted = WANTED, facts: Facts = FACTS) -> list[tuple[str, str, str]]:
    steps = compose.compose(facts, wanted, CARRIED)
    found = [change for step in steps if (change := step.change(seen))]
    return [(change.kind.value, change.step, change.why) for change in found]


def placed(path: str, place: Place) -> Seen:
    return replace(DONE, places={**DONE.places, path: place})


def test_a_host_that_is_as_wanted_is_left_alone() -> None:
    assert plan(DONE) == []


def test_a_bare_host_gets_everything_in_an_order_that_works() -> None:
    bare = Seen(missing=frozenset(ALL), hostname="h1", python="", active="inactive")
    found = plan(bare)
    assert {sign for sign, *_ in found} == {Kind.ADD.value}
    assert [step for _, step, _ in found] == [
        "packages",
        "group",
        "version",
        "/etc/swarm/api/key.pem",
        SETTINGS,
        UNIT,
        COMMAND,
        "current",
        "service",
    ]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (replace(DONE, missing=frozenset({"crun"})), [("+", "packages", "")]),
        (replace(DONE, groups=frozenset()), [("+", "group", "")]),
        (
            replace(DONE, versions={"2": "3.11"}, python="3.13"),
            [("~", "version", "it was made for Python 3.11, there is 3.13"), MADE_ANEW],
        ),
        (replace(DONE, versions={}), [("+", "version", ""), MADE_ANEW]),
        (
            placed(SETTINGS, file(b"x")),
            [
                ("~", SETTINGS, "its content is another"),
                ("!", "service", "somebody changed the settings"),
            ],
        ),
        (
            placed(SETTINGS, Place("file", 0o666, "bob:bob", sha(TEXT))),
            [
                ("~", SETTINGS, "it is bob:bob's with mode 666"),
                ("!", "service", "somebody changed the settings"),
            ],
        ),
        (
            placed(UNIT, Place("link", content="/x")),
            [("~", UNIT, "it is a link"), ("!", "service", "somebody changed the unit")],
        ),
        (replace(DONE, unit_is_stale=True), [("!", "service", "somebody changed the unit")]),
        (
            placed(COMMAND, Place("link", content="/opt/swarm/bin/swarmctl")),
            [("~", COMMAND, "it is /opt/swarm/bin/swarmctl")],
        ),
        (placed(COMMAND, file(b"")), [("~", COMMAND, "it is a file")]),
        (replace(DONE, active="failed"), [("+", "service", "it is failed")]),
        (replace(DONE, enabled="disabled"), [("~", "service", "it is disabled")]),
        (
            replace(DONE, manifest=replace(DONE.manifest, running={})),
            [("!", "service", "what it runs with is not known")],
        ),
        (
            replace(DONE, manifest=replace(DONE.manifest, versions=("0", "1", "2"))),
            [("-", "former versions", "")],
        ),
    ],
)
def test_one_thing_that_is_not_right_is_one_change(
    seen: Seen, expected: list[tuple[str, str, str]]
) -> None:
    assert plan(seen) == expected


def test_other_settings_are_a_reason_to_restart() -> None:
    found = plan(DONE, replace(WANTED, settings={"log_level": "info"}))
    assert found == [
        ("~", SETTINGS, "its content is another"),
        ("!", "service", "the settings changed"),
    ]


def test_other_certificates_are_none() -> None:
    found = plan(DONE, replace(WANTED, files=[("/etc/swarm/api/key.pem", b"new", 0o600)]))
    assert found == [("~", "/etc/swarm/api/key.pem", "its content is another")]


def test_an_upgrade_keeps_the_version_that_ran_and_drops_older_ones() -> None:
    found = plan(DONE, replace(WANTED, version="3"))
    assert found == [
        ("+", "version", ""),
        ("~", "current", "2 runs"),
        ("!", "service", "the version changed"),
        ("-", "former versions", ""),
    ]


def test_a_run_that_was_cut_off_before_the_restart_makes_up_for_it() -> None:
    switched = replace(DONE, manifest=replace(DONE.manifest, running={"version": "1"}))
    assert [step for _, step, _ in plan(switched)] == ["service"]


def test_where_the_kernel_lacks_wireguard_a_program_does_it() -> None:
    assert plan(DONE, facts=Facts()) == [("+", "packages", "")]


@pytest.mark.parametrize(
    ("step", "there"),
    [
        (KEEP_RUNNING, Place("folder", content="empty")),
        (KEEP_ROUTES, file(b"OPER_STATE=routable")),
    ],
)
def test_other_programs_leave_a_node_in_peace_where_they_are(step: Beside, there: Place) -> None:
    with_it = placed(step.sign, there)
    assert plan(with_it) == [("+", step.path, "")]
    told = replace(with_it, places={**with_it.places, step.path: file(step.content)})
    assert plan(told) == []
    assert set(compose.paths([step], ())) == {step.path, step.sign}


def test_a_host_is_renamed_on_request_only() -> None:
    assert plan(DONE, replace(WANTED, hostname="h1")) == []
    assert plan(DONE, replace(WANTED, hostname="web1")) == [("~", "hostname", "")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.0.1 localhost\n127.0.1.1 old.lan old\n", "127.0.0.1 localhost\n127.0.1.1\tnew\n"),
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n127.0.1.1\tnew\n"),
        ("# 127.0.1.1 x", "# 127.0.1.1 x\n127.0.1.1\tnew\n"),
        ("", "127.0.1.1\tnew\n"),
    ],
)
def test_a_host_knows_itself_by_its_name(before: str, after: str) -> None:
    assert with_own_name(before, "new") == after


def test_the_unit_lets_containers_live_on() -> None:
    text = compose.unit().decode()
    for line in ("KillMode=process", "Delegate=yes", "Restart=always", "StartLimitIntervalSec=0"):
        assert f"\n{line}\n" in text
    # What gives a service mounts of its own, or is inherited by containers.
    for word in ("Protect", "PrivateTmp", "NoNewPrivileges", "SystemCallFilter", "Capability"):
        assert not any(line.startswith(word) for line in text.splitlines())
