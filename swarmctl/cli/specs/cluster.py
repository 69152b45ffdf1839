"""Flags of `swarm init` and `swarm update` that set one value of the cluster's spec, as a table. A
flag that is not given leaves the spec alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from api.times import duration
from api.v1 import specs_pb2
from swarmctl.cli.options import DURATION, whole

Spec = specs_pb2.ClusterSpec
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Setting:
    """One flag. `kind`: a click type, or bool for a switch that needs no value."""

    flag: str
    kind: Any
    set: Callable[[Spec, Any], object]
    help: str

    @property
    def name(self) -> str:
        """The flag as a keyword: cert_expiry."""
        return self.flag.lstrip("-").replace("-", "_")

    def option(self) -> Callable[[Any], Any]:
        """The click option; without a value it is None."""
        if self.kind is bool:
            return click.option(self.flag, is_flag=True, default=None, help=self.help)
        return click.option(self.flag, type=self.kind, help=self.help)


SETTINGS = (
    Setting(
        "--autolock",
        bool,
        lambda spec, on: setattr(spec, "autolock", on),
        "Managers need the unlock key to start",
    ),
    Setting(
        "--cert-expiry",
        DURATION,
        lambda spec, seconds: spec.node_cert_expiry.CopyFrom(duration(seconds)),
        "Life of nodes' certificates [2160h]",
    ),
    Setting(
        "--dispatcher-heartbeat",
        DURATION,
        lambda spec, seconds: spec.heartbeat_period.CopyFrom(duration(seconds)),
        "Period of heartbeats [2s]",
    ),
    Setting(
        "--max-snapshots",
        whole(0),
        lambda spec, number: setattr(spec, "max_snapshots", number),
        "Snapshots kept beside the newest [0]",
    ),
    Setting(
        "--snapshot-interval",
        whole(1),
        lambda spec, entries: setattr(spec, "snapshot_interval", entries),
        "Log entries a snapshot [10000]",
    ),
    Setting(
        "--task-history-limit",
        whole(-1),
        lambda spec, number: setattr(spec, "task_history_limit", number),
        "Ended tasks kept per slot, -1: all [5]",
    ),
)


def cluster_options(command: F) -> F:
    """Gives a command every flag of the table; it takes a keyword for each."""
    for setting in reversed(SETTINGS):
        command = setting.option()(command)
    return command


def apply(spec: Spec, given: Mapping[str, Any]) -> None:
    """Sets what was given. `given`: values by keyword, None for flags that were not."""
    for setting in SETTINGS:
        value = given[setting.name]
        if value is not None:
            setting.set(spec, value)
