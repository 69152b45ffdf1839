"""What a figure is, and the line it is printed as. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

UNKNOWN = "-"


@dataclass(frozen=True)
class Figure:
    """`docker`: what Docker 20.10 with SwarmKit needed on the same kind of machine, as text;
    UNKNOWN if that was not measured.

    `time`: where ours goes, in a few words, for the table.
    """

    name: str
    what: str
    unit: str
    floor: float
    docker: str
    time: str
    better: Literal["lower", "higher"] = "lower"

    def is_met_by(self, value: float) -> bool:
        """Whether a value is as good as the floor asks."""
        return value <= self.floor if self.better == "lower" else value >= self.floor


@dataclass(frozen=True)
class Measured:
    """One value per run, and what is to be read beside them."""

    runs: Sequence[float]
    beside: Mapping[str, float] = field(default_factory=dict)


def line(figure: Figure, measured: Measured, *, load: float, on: str) -> dict[str, Any]:
    """The figure's JSON line. `load`: of the machine before the first run; `on`: the date."""
    return {
        "figure": figure.name,
        "value": _short(statistics.median(measured.runs)),
        "unit": figure.unit,
        "floor": figure.floor,
        "better": figure.better,
        "load": round(load, 2),
        "runs": [_short(run) for run in measured.runs],
        "beside": {name: _short(value) for name, value in measured.beside.items()},
        "on": on,
    }


def _short(value: float) -> float:
    """Three digits are more than a noisy machine tells."""
    return float(f"{value:.3g}") if abs(value) < 100 else round(value)
