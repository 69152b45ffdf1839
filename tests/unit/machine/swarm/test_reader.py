"""Cluster files: what is read out of them, and how each mistake is told."""

from pathlib import Path

import pytest

from api.errors import SwarmError
from machine.swarm.reader import read
from machine.swarm.wanted import Availability, Hooks, HostWanted, Role, SwarmWanted
from machine.target import Target

SETTINGS = ("labels", "log_level", "state_dir")
WHOLE = """
name: prod
version: "1.2"
ssh: {user: admin, key: keys/id, jump: bastion}
swarmd: {log_level: debug}
swarm: {autolock: true, cert_expiry: 24h, task_history_limit: 3, default_addr_pool: [10.9.0.0/16]}
hosts:
  m1:
    address: 10.0.0.1
    role: manager
    ssh: {user: root, port: 2222}
  w1:
    labels: {zone: a}
    availability: drain
    swarmd: {log_level: info, labels: {rack: "1"}}
  w2: {address: 10.0.0.3, state: absent, advertise: eth1}
"""


def parsed(text: str) -> SwarmWanted:
    return read(text, name="cluster.yml", folder=Path("/there"), settings=SETTINGS)


def test_a_whole_file() -> None:
    found = parsed(WHOLE)
    usual = {"log_level": "debug"}
    target = Target("w1", user="admin", key="/there/keys/id", jump=("bastion",))
    assert (found.name, found.version) == ("prod", "1.2")
    assert found.options == {
        "autolock": True,
        "cert_expiry": "24h",
        "task_history_limit": 3,
        "default_addr_pool": ("10.9.0.0/16",),
    }
    assert list(found.hosts.values()) == [
        HostWanted(
            "m1",
            Target("10.0.0.1", user="root", port=2222, key="/there/keys/id", jump=("bastion",)),
            role=Role.MANAGER,
            swarmd=usual,
        ),
        HostWanted(
            "w1",
            target,
            labels={"zone": "a"},
            availability=Availability.DRAIN,
            swarmd={"log_level": "info", "labels": {"rack": "1"}},
        ),
        HostWanted(
            "w2",
            Target("10.0.0.3", user="admin", key="/there/keys/id", jump=("bastion",)),
            advertise="eth1",
            swarmd=usual,
            is_absent=True,
        ),
    ]
    assert [each.name for each in found.managers()] == ["m1"]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("[]", ["a list is no mapping", "name: the swarm needs a name", "hosts: name at least"]),
        ("name: x\nhosts: {m1: {}}", ["hosts: none of them is to be a manager"]),
        ("name: x\nhosts: {m1: {rol: manager}}", ["hosts.m1.rol: nobody knows this key: did you"]),
        ("name: x\nhosts: {m1: {role: boss}}", ["hosts.m1.role: 'boss' is none of manager, work"]),
        (
            "name: x\nhosts: {m1: {role: manager, labels: {a: 1}}}",
            ["hosts.m1.labels.a: 1 is not a text: put it in quotes"],
        ),
        (
            "name: x\nversion: 1.0\nhosts: {m1: {role: manager}}",
            ["version: 1.0 is not a text: put it in quotes"],
        ),
        (
            "name: x\nssh: {prt: 1, port: 0}\nhosts: {m1: {role: manager, ssh: {port: true}}}",
            ["ssh.prt: nobody knows", "ssh.port: 0 is no", "hosts.m1.ssh.port: True is no"],
        ),
        (
            "name: x\nhosts: {m1: {role: manager, address: a}, m2: {address: a}}",
            ["hosts.m2: a is the address of m1 already"],
        ),
        (
            "name: x\nswarm: {cert_expiry: soon, data_path_port: 7}\nhosts: {m: {role: manager}}",
            ["swarm.cert_expiry: 'soon' is no duration", "swarm.data_path_port: 7 is no whole"],
        ),
        (
            "name: x\nswarmd: {log_levle: debug}\nhosts: {m: {role: manager}}",
            ["swarmd.log_levle: nobody knows this key: did you mean log_level?"],
        ),
        ("name: x\nhosts: {../m: {role: manager}}", ["hosts.../m: a host's name is of"]),
        ("name: x\nhosts: {1: {role: manager}}", ["hosts: the key 1 is no text"]),
        (
            "name: x\nssh: {host_key: abc}\nhosts: {m: {role: manager}}",
            ["ssh.host_key: 'abc' is no fingerprint"],
        ),
    ],
)
def test_every_mistake_is_told_with_its_path(text: str, mistakes: list[str]) -> None:
    with pytest.raises(SwarmError) as refused:
        parsed(text)
    lines = refused.value.why.splitlines()[1:]
    for mistake in mistakes:
        assert any(line.startswith(f"  {mistake}") for line in lines), (mistake, lines)


def test_a_key_without_a_value_says_nothing() -> None:
    bare = parsed("name: x\nhooks: {apply: {before: out}}\nhosts: {m: {role: manager}, w: }")
    empty = parsed("""
name: x
version:
ssh: {user: , port: , jump: }
swarmd: {log_level: }
hooks: {apply: {before: out}}
swarm:
  autolock:
  cert_expiry:
  snapshot_interval:
  task_history_limit:
  default_addr_pool:
  data_path_port:
hosts:
  m: {role: manager, labels: , availability: , state: , advertise: }
  w: {role: , swarmd: , hooks: {apply: {before: }}}
""")
    assert empty == bare


def test_what_is_wrong_in_the_defaults_is_told_once() -> None:
    with pytest.raises(SwarmError) as refused:
        parsed("name: x\nssh: {user: 1}\nhosts: {a: {role: manager}, b: {}, c: {}}")
    assert refused.value.what == "cluster.yml has 1 mistake"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "line 1, column 5"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is there twice"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("[" * 100, "nested too deeply"),
        ("a: &a [x]\nb: [" + "*a," * 2000 + "]", "repeats itself too often"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: \x1f", "special characters"),
        ("a: 2026-13-45", "it is no YAML"),
    ],
)
def test_what_is_no_fit_yaml_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(SwarmError) as refused:
        parsed(text)
    assert why in refused.value.why


def test_anchors_are_understood() -> None:
    text = """
name: x
hosts:
  m1: &m {role: manager, availability: drain}
  m2: {<<: *m, address: b}
"""
    found = parsed(text).hosts
    assert found["m2"].role is Role.MANAGER
    assert found["m2"].availability is Availability.DRAIN


HOOKED = """
name: prod
hooks:
  apply: {before: echo usual}
  upgrade: {after: [one, two]}
hosts:
  m1: {role: manager}
  w1: {hooks: {apply: {before: []}, upgrade: {before: out}}}
"""


def test_hooks_are_those_of_the_file_unless_a_host_says_otherwise() -> None:
    found = parsed(HOOKED)
    assert found.hosts["m1"].hooks == Hooks(("echo usual",), (), (), ("one", "two"))
    assert found.hosts["w1"].hooks == Hooks((), (), ("out",), ("one", "two"))


@pytest.mark.parametrize(
    ("hooks", "why"),
    [
        ("{aply: {}}", "hooks.aply: nobody knows this key: did you mean apply?"),
        ("{apply: {befor: x}}", "hooks.apply.befor: nobody knows"),
        ('{apply: {before: [""]}}', "hooks.apply.before: a command is empty"),
        ("{upgrade: {after: 7}}", "hooks.upgrade.after: 7 is no list of texts"),
        (f"{{apply: {{after: {['x'] * 21}}}}}", "there are more than 20 commands"),
    ],
)
def test_odd_hooks(hooks: str, why: str) -> None:
    with pytest.raises(SwarmError) as refused:
        parsed(f"name: s\nhooks: {hooks}\nhosts: {{m1: {{role: manager}}}}\n")
    assert why in refused.value.why
