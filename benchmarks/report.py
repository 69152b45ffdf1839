"""What the last runs gave: benchmarks/results.json, and the table made from it.

A figure that was not measured this time keeps its line; lines of another machine are dropped.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.figure import UNKNOWN, Figure

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results.json"
TABLE = ROOT / "docs/reference/figures.md"

Line = Mapping[str, Any]

_HEAD = """\
# Figures

Made by `make bench` from [benchmarks/results.json](../../benchmarks/results.json); one figure
again: `make bench ONLY=create_100`. Every value is the median of at least five runs. "Load" is the
load average of the machine just before the first of them. Docker's column was measured with Docker
20.10 and SwarmKit on the same kind of machine; "floor" is what we hold ourselves to.

Machine: {machine}.

| figure | what | Docker Swarm | floor | ours | load | where the time goes |
|---|---|---|---|---|---|---|
"""


def machine() -> str:
    """This machine, and the versions that matter."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, grpcio {version('grpcio')}, "
        f"protobuf {version('protobuf')}"
    )


def keep(lines: Iterable[Line], figures: Mapping[str, Figure]) -> None:
    """Puts lines into the results, and makes the table anew."""
    kept = {line["figure"]: line for line in _former()}
    kept.update({line["figure"]: line for line in lines})
    ordered = [kept[name] for name in figures if name in kept]
    one_each = ",\n".join("  " + json.dumps(line) for line in ordered)
    head = json.dumps({"machine": machine()})[:-1]
    RESULTS.write_text(f'{head}, "figures": [\n{one_each}\n]}}\n', encoding="utf-8")
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(table(ordered, figures, machine()), encoding="utf-8")


def table(lines: Iterable[Line], figures: Mapping[str, Figure], on: str) -> str:
    """The page of the reference. Pure."""
    rows = []
    for line in lines:
        figure = figures[line["figure"]]
        ours = f"**{line['value']:g} {figure.unit}**"
        if not figure.is_met_by(line["value"]):
            ours += " (missed)"
        cells = (
            f"`{figure.name}`",
            figure.what,
            f"{figure.docker} {figure.unit}" if figure.docker != UNKNOWN else UNKNOWN,
            f"{figure.floor:g} {figure.unit}",
            ours + _aside(line["beside"]),
            f"{line['load']:g}",
            figure.time,
        )
        rows.append("| " + " | ".join(cells) + " |\n")
    return _HEAD.format(machine=on) + "".join(rows)


def _aside(beside: Mapping[str, float]) -> str:
    told = ", ".join(f"{name} {value:g}" for name, value in beside.items())
    return f"; beside: {told}" if told else ""


def _former() -> list[Line]:
    try:
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    lines: list[Line] = found["figures"] if found["machine"] == machine() else []
    return lines


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
