"""Profiles turned into filters, and filters into programs that do the same."""

import json
import struct
from typing import Any

import pytest

from api.errors import Code, SwarmError
from runtime import bpf, seccomp
from runtime.capabilities import DEFAULT, NAMES

PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
        {
            "name": "d",
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "excludes": {"caps": ["CAP_BPF"]},
            "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ", "x": 1}],
        },
    ],
}


@pytest.mark.parametrize(
    ("capabilities", "machine", "names"),
    [
        ((), "x86_64", ["read", "d"]),
        (("CAP_BPF",), "x86_64", ["read", "c"]),
        ((), "aarch64", ["read", "a", "b", "d"]),
    ],
)
def test_rules_are_chosen(capabilities: tuple[str, ...], machine: str, names: list[str]) -> None:
    found = seccomp.to_oci(PROFILE, frozenset(capabilities), machine)
    assert [rule["names"][0] for rule in found["syscalls"]] == names
    assert found["defaultErrnoRet"] == 38


def test_rules_are_translated() -> None:
    found = seccomp.to_oci(PROFILE, frozenset(), "x86_64")
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert found["syscalls"][-1] == {
        "names": ["d"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 1,
        "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}],
    }
    assert seccomp.to_oci(PROFILE, frozenset(), "aarch64")["architectures"] == ["SCMP_ARCH_AARCH64"]
    named = PROFILE | {"architectures": ["SCMP_ARCH_ARM"]}
    assert seccomp.to_oci(named, frozenset(), "x86_64")["architectures"] == ["SCMP_ARCH_ARM"]


def allowed(capabilities: frozenset[str]) -> dict[str, list[Any]]:
    """Of the default profile, each allowed call and the arguments it is bound to."""
    found: dict[str, list[Any]] = {}
    for rule in seccomp.to_oci(seccomp.default_profile(), capabilities, "x86_64")["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            for name in rule["names"]:
                found.setdefault(name, []).append(rule.get("args"))
    return found


@pytest.mark.parametrize(
    "name", ["unshare", "setns", "clone3", "mount", "umount2", "fsopen", "move_mount", "keyctl"]
)
def test_the_default_profile_makes_no_namespaces(name: str) -> None:
    assert name not in allowed(DEFAULT)


def test_clone_without_new_namespaces() -> None:
    flags = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x20000
    (args,) = allowed(DEFAULT)["clone"]
    assert args == [{"index": 0, "value": flags, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    privileged = allowed(frozenset(NAMES))
    assert privileged["clone"] == privileged["unshare"] == privileged["clone3"] == [None]


def test_ordinary_calls_are_allowed() -> None:
    found = allowed(DEFAULT)
    ordinary = "read write openat execve futex epoll_wait socket chroot fork vfork wait4 statx"
    assert set(ordinary.split()) <= set(found)
    assert not {"bpf", "perf_event_open", "kexec_load", "io_uring_setup"} & set(found)


def test_no_profile() -> None:
    assert seccomp.choose("unconfined") is None
    assert seccomp.choose("") is seccomp.default_profile()


@pytest.mark.parametrize("profile", [PROFILE, seccomp.default_profile()])
def test_a_profile_is_taken_as_it_is(profile: dict[str, Any]) -> None:
    assert seccomp.choose(json.dumps(profile)) == profile
    rules = [{"name": None, "names": ["read"], "action": "SCMP_ACT_LOG", "args": None, "x": 1}]
    null = {"defaultAction": "SCMP_ACT_ALLOW", "archMap": None, "syscalls": rules, "comment": []}
    chosen = seccomp.choose(json.dumps(null))
    assert chosen is not None
    assert bpf.compile_filter(seccomp.to_oci(chosen, frozenset(), "x86_64")) is not None


ARGUMENT = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"defaultAction": None}, "it has no defaultAction"),
        ({"defaultAction": 7}, "defaultAction is no plain text"),
        ({"defaultErrnoRet": "1"}, "defaultErrnoRet is no number"),
        ({"architectures": "x"}, "architectures is no list"),
        ({"archMap": [7]}, r"archMap\[0\] is no object"),
        ({"archMap": [{}]}, r"archMap\[0\] has no architecture"),
        ({"syscalls": 5}, "syscalls is no list"),
        ({"rule": {"action": None}}, r"syscalls\[0\] has no action"),
        ({"rule": {"names": []}}, r"syscalls\[0\] has no names"),
        ({"rule": {"names": ["read", "\ud800"]}}, r"syscalls\[0\]\.names\[1\] is no plain text"),
        ({"rule": {"includes": []}}, r"syscalls\[0\]\.includes is no object"),
        ({"rule": {"excludes": {"caps": [1]}}}, r"excludes\.caps\[0\] is no plain text"),
        ({"rule": {"args": [{}]}}, r"args\[0\] has no index"),
        ({"rule": {"args": [ARGUMENT | {"index": "a"}]}}, r"args\[0\]\.index is no number"),
        ({"rule": {"args": [ARGUMENT | {"value": -1}]}}, r"args\[0\]\.value is no number"),
        ({"rule": {"args": [ARGUMENT | {"valueTwo": 1 << 64}]}}, "valueTwo is no number"),
    ],
)
def test_a_malformed_profile_is_refused(change: dict[str, Any], flaw: str) -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW"} | change.get("rule", {})
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]} | change
    with pytest.raises(SwarmError, match=flaw) as caught:
        seccomp.choose(json.dumps(profile))
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(SwarmError, match="no JSON"):
        seccomp.choose(text)


def run_bpf(program: bytes, number: int, *args: int, arch: int = 0xC000003E) -> int:
    """What the kernel would answer: a classic BPF machine over struct seccomp_data."""
    data = struct.pack("<iIQ6Q", number, arch, 0, *(args + (0,) * 6)[:6])
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = position = 0
    while True:
        code, true, false, k = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        elif code == 0x05:
            position += k
        elif code == 0x06:
            return int(k)
        else:
            taken = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[code]
            position += true if taken else false


ALLOW, ENOSYS, EPERM = 0x7FFF0000, 0x50000 | 38, 0x50000 | 1
READ, CLONE, UNSHARE, CLONE3, PERSONALITY, UNKNOWN = 0, 56, 272, 435, 135, 4000


@pytest.mark.parametrize(
    ("number", "args", "capabilities", "expected"),
    [
        (READ, (), DEFAULT, ALLOW),
        (UNSHARE, (0x10000000,), DEFAULT, EPERM),
        (UNSHARE, (0x10000000,), DEFAULT | {"CAP_SYS_ADMIN"}, ALLOW),
        (CLONE, (0x00010F00,), DEFAULT, ALLOW),
        (CLONE, (0x10000000,), DEFAULT, ENOSYS),
        (CLONE3, (), DEFAULT, ENOSYS),
        (PERSONALITY, (8,), DEFAULT, ALLOW),
        (PERSONALITY, (9,), DEFAULT, ENOSYS),
        (UNKNOWN, (), DEFAULT, ENOSYS),
    ],
)
def test_the_program_does_what_the_rules_say(
    number: int, args: tuple[int, ...], capabilities: frozenset[str], expected: int
) -> None:
    rules = seccomp.to_oci(seccomp.default_profile(), frozenset(capabilities), "x86_64")
    program = bpf.compile_filter(rules)
    assert program is not None
    assert run_bpf(program, number, *args) == expected


def test_a_rule_that_names_one_argument_twice_means_either() -> None:
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (3, 4)]
    rules = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["read", "nonesuch"], "action": "SCMP_ACT_ALLOW", "args": args}],
    }
    program = bpf.compile_filter(rules)
    assert program is not None
    assert [run_bpf(program, READ, value) for value in (3, 4, 5)] == [ALLOW, ALLOW, EPERM]


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"architectures": ["SCMP_ARCH_PDP11"]},
        {
            "syscalls": [
                {
                    "names": ["read"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_ODD"}],
                }
            ]
        },
    ],
)
def test_what_cannot_be_compiled_is_left_to_the_runtime(change: dict[str, Any]) -> None:
    rules = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [], "syscalls": []} | change
    assert bpf.compile_filter(rules) is None
    config = {"annotations": {}, "linux": {"seccomp": rules}}
    bpf.apply(config)
    assert config == {"annotations": {}, "linux": {"seccomp": rules}}


def test_the_program_takes_the_place_of_the_rules() -> None:
    rules = seccomp.to_oci(seccomp.default_profile(), DEFAULT, "x86_64")
    config: dict[str, Any] = {"annotations": {}, "linux": {"seccomp": rules}}
    bpf.apply(config)
    assert config["linux"] == {}
    assert set(config["annotations"]) == {"run.oci.seccomp_bpf_data"}
    unconfined: dict[str, Any] = {"annotations": {}, "linux": {}}
    bpf.apply(unconfined)
    assert unconfined == {"annotations": {}, "linux": {}}
