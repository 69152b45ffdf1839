"""Reads what `look.sh` printed. A host may print anything: what is unknown or ill formed is left
out, what is too much is cut. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from machine.facts.facts import Disk, Facts, Listener

MAX_BYTES = 256 * 1024
_MAX_VALUE = 512
_MAX_LINES = 4096
_KIB = 1024
_LISTENER = re.compile(r"(tcp|udp) \S*?:(\d{1,5})(?: (.*))?")
_PROGRAM = re.compile(r'users:\(\("([^"]*)"')

Lines = Mapping[str, Sequence[str]]


def facts(printed: bytes, before: float, after: float) -> Facts:
    """The facts. `before`, `after`: our wall clock around the look, in seconds.

    ValueError if the look did not come to its end, so that nothing is taken for absent that was
    not looked for.
    """
    lines = _lines(printed)
    if "end" not in lines or "clock" not in lines:
        raise ValueError("the host did not answer to the end")
    return Facts(
        os=_one(lines, "os.id"),
        os_version=_one(lines, "os.version"),
        os_name=_one(lines, "os.name"),
        arch=_one(lines, "arch"),
        kernel=_one(lines, "kernel"),
        hostname=_one(lines, "hostname"),
        python=_one(lines, "python"),
        init=_one(lines, "init"),
        memory=_number(_one(lines, "memory_kib")) * _KIB,
        disks=tuple(_disks(lines.get("disk", ()))),
        read_only=tuple(lines.get("read_only", ())),
        missing=tuple(lines.get("missing", ())),
        dpkg_broken=_one(lines, "dpkg_broken"),
        features=dict(_pairs(lines.get("feature", ()))),
        controllers=tuple(_one(lines, "controllers").split()),
        listeners=tuple(_listeners(lines.get("listener", ()))),
        firewalls=tuple(lines.get("firewall", ())),
        opened=tuple(value for value in lines.get("opened", ()) if value),
        apt_lock=_one(lines, "apt_lock"),
        strays=tuple(_number(value) for value in lines.get("stray", ())),
        versions=tuple(lines.get("version", ())),
        current=_one(lines, "current"),
        unit="unit" in lines,
        by_hand="by_hand" in lines,
        manifest="manifest" in lines,
        mirror=_one(lines, "mirror"),
        index=_one(lines, "index"),
        skew=(_seconds(_one(lines, "end")) - after, _seconds(_one(lines, "clock")) - before),
    )


def _lines(printed: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in printed[:MAX_BYTES].decode(errors="replace").split("\n")[:_MAX_LINES]:
        name, tab, value = line.partition("\t")
        if tab:
            text = "".join(each for each in value[:_MAX_VALUE] if each.isprintable())
            found.setdefault(name, []).append(text.strip())
    return found


def _one(lines: Lines, name: str) -> str:
    return next(iter(lines.get(name, ())), "")


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
        raise ValueError("the host did not tell its time")
    return float(text)


def _pairs(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    for value in values:
        first, _, second = value.partition(" ")
        if second:
            yield first, second


def _disks(values: Iterable[str]) -> Iterable[Disk]:
    for value in values:
        match value.split(" ", 2):
            case [folder, free, mount]:
                yield Disk(folder, _number(free) * _KIB, mount)


def _listeners(values: Iterable[str]) -> Iterable[Listener]:
    for value in values:
        if match := _LISTENER.fullmatch(value):
            program = _PROGRAM.search(match[3] or "")
            yield Listener(match[1], int(match[2]), program[1] if program else "")
