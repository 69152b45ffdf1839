"""Compiles an OCI seccomp filter to BPF with libseccomp, once per filter.

crun takes the finished program by annotation, which halves the CPU of a start: it would compile
the same rules again for each container. Where libseccomp is missing, or a filter says something
that is not translated here, the answer is None and the runtime gets the rules themselves.
"""

import base64
import ctypes
import functools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)

ANNOTATION = "run.oci.seccomp_bpf_data"

_LIBRARY = "libseccomp.so.2"
_EPERM = 1
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ATTRIBUTE_TSYNC = 4
_ATTRIBUTE_OPTIMIZE = 8
_BINARY_TREE = 2
_UNKNOWN_SYSCALL = -1
_EEXIST = 17


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class Untranslatable(Exception):
    """The filter needs something that is not compiled here."""


def compile_filter(seccomp: Mapping[str, Any]) -> bytes | None:
    """The BPF program of `linux.seccomp`; None if it must be left to the runtime."""
    return _compiled(json.dumps(seccomp, sort_keys=True))


def apply(config: dict[str, Any]) -> None:
    """Replaces the rules in an OCI configuration by their program, where that can be."""
    rules = config["linux"].get("seccomp")
    program = compile_filter(rules) if rules is not None else None
    if program is not None:
        config["annotations"][ANNOTATION] = base64.b64encode(program).decode()
        del config["linux"]["seccomp"]


@functools.lru_cache(maxsize=32)
def _compiled(text: str) -> bytes | None:
    try:
        return _Filter(_library()).compile(json.loads(text))
    except (Untranslatable, OSError) as error:
        log.info("seccomp filters are compiled by the runtime: %s", error)
        return None


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


def _action(name: str, errno: int | None) -> int:
    if name not in _ACTIONS:
        raise Untranslatable(f"action {name}")
    value = _ACTIONS[name]
    return value | (_EPERM if errno is None else errno) if name == "SCMP_ACT_ERRNO" else value


class _Filter:
    """One run of libseccomp over one filter."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def compile(self, seccomp: Mapping[str, Any]) -> bytes:
        default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
        context = self._library.seccomp_init(default)
        if not context:
            raise Untranslatable("seccomp_init failed")
        try:
            self._prepare(context, seccomp.get("architectures") or ())
            for rule in seccomp.get("syscalls") or ():
                self._add(context, rule, default)
            return self._export(context)
        finally:
            self._library.seccomp_release(context)

    def _prepare(self, context: int, architectures: Sequence[str]) -> None:
        self._library.seccomp_attr_set(context, _ATTRIBUTE_TSYNC, 0)
        self._library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)
        for name in architectures:
            short = name.removeprefix("SCMP_ARCH_").lower().encode()
            token = self._library.seccomp_arch_resolve_name(short)
            if token == 0:
                raise Untranslatable(f"architecture {name}")
            done = self._library.seccomp_arch_add(context, token)
            if done not in (0, -_EEXIST):  # the native one is there from the start
                raise Untranslatable(f"architecture {name}: error {-done}")

    def _add(self, context: int, rule: Mapping[str, Any], default: int) -> None:
        action = _action(rule["action"], rule.get("errnoRet"))
        if action == default:
            return  # libseccomp refuses rules that change nothing
        for name in rule["names"]:
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number == _UNKNOWN_SYSCALL:
                continue  # newer than this libseccomp: the default action holds
            for arguments in _alternatives(rule.get("args") or []):
                comparisons = (_Comparison * len(arguments))(*arguments)
                done = self._library.seccomp_rule_add_array(
                    context, action, number, len(arguments), comparisons
                )
                if done != 0:
                    raise Untranslatable(f"rule for {name}: error {-done}")

    def _export(self, context: int) -> bytes:
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            done = self._library.seccomp_export_bpf(context, fd)
            if done != 0:
                raise Untranslatable(f"export: error {-done}")
            file.seek(0)
            return file.read()


def _alternatives(args: list[Mapping[str, Any]]) -> list[list[_Comparison]]:
    """Rules out of one rule's arguments: ANDed, but ORed if two name the same one, as runc does."""
    comparisons = []
    for arg in args:
        if arg["op"] not in _OPERATORS:
            raise Untranslatable(f"operator {arg['op']}")
        comparisons.append(
            _Comparison(arg["index"], _OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0))
        )
    indexes = [arg["index"] for arg in args]
    if len(set(indexes)) < len(indexes):
        return [[comparison] for comparison in comparisons]
    return [comparisons]
