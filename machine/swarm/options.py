"""Options of a swarm, as `swarmctl swarm init` takes them and `swarmctl swarm inspect` shows them.

One row for each. Pure: compares what is wanted with what is, and says which flags make it so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from api.durations import parse_duration

Value = bool | int | str | tuple[str, ...]
_MOST = 2**63 - 1


class Type(Enum):
    """What a value is in the file."""

    SWITCH = "true or false"
    NUMBER = "a whole number"
    DURATION = "a duration such as 24h"
    TEXTS = "a list of texts"


@dataclass(frozen=True)
class Option:
    """`key`: what swarm inspect calls it; `is_fixed`: it is settled when the swarm is made."""

    name: str
    type: Type
    key: str
    least: int = 0
    most: int = _MOST
    is_fixed: bool = False

    @property
    def flag(self) -> str:
        """The flag of swarm init, and if it is not fixed of swarm update."""
        return "--" + self.name.replace("_", "-")

    def words(self, value: Value) -> tuple[str, ...]:
        """The flag with its value, as words of a command line."""
        if isinstance(value, bool):
            return (f"{self.flag}={str(value).lower()}",)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        return (self.flag, text)

    def is_met(self, wanted: Value, spec: Mapping[str, Any]) -> bool:
        """Whether a swarm with this spec has it so; what is not in a spec is empty, zero or off."""
        found = spec.get(self.key)
        if self.type is Type.TEXTS:
            return list(found or ()) == list(wanted if isinstance(wanted, tuple) else (wanted,))
        if self.type is Type.DURATION:
            return found is not None and parse_duration(str(found)) == parse_duration(str(wanted))
        return (found or 0) == wanted if self.name != _UNSET_IS_FIVE else found == wanted


AUTOLOCK = "autolock"
_UNSET_IS_FIVE = "task_history_limit"
"""Zero means none here, and is told apart from a value that is not set."""

OPTIONS: Mapping[str, Option] = {
    each.name: each
    for each in (
        Option(AUTOLOCK, Type.SWITCH, "Autolock"),
        Option("cert_expiry", Type.DURATION, "NodeCertExpiry"),
        Option("dispatcher_heartbeat", Type.DURATION, "HeartbeatPeriod"),
        Option("max_snapshots", Type.NUMBER, "MaxSnapshots"),
        Option("snapshot_interval", Type.NUMBER, "SnapshotInterval", least=1),
        Option("task_history_limit", Type.NUMBER, "TaskHistoryLimit", least=-1),
        Option("default_addr_pool", Type.TEXTS, "AddressPools", is_fixed=True),
        Option(
            "default_addr_pool_mask_length",
            Type.NUMBER,
            "SubnetSize",
            least=1,
            most=32,
            is_fixed=True,
        ),
        Option(
            "data_path_port", Type.NUMBER, "DataPathPort", least=1024, most=49151, is_fixed=True
        ),
    )
}


def unmet(wanted: Mapping[str, Value], spec: Mapping[str, Any]) -> Iterator[tuple[Option, Value]]:
    """The options that a swarm with this spec does not have as they are wanted."""
    for name, value in wanted.items():
        if not OPTIONS[name].is_met(value, spec):
            yield OPTIONS[name], value
