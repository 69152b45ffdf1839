"""Which drivers there are: ours, and those of packages that are installed beside us.

Nothing is imported but what is asked for. A package that is broken is told when its driver is
chosen, and disturbs no other.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from api.errors import Code, SwarmError
from machine.driver import DriverKind

GROUP = "swarm.machine_drivers"
_OURS = {
    "generic": "machine.drivers.generic.driver:GENERIC",
    "lab": "machine.drivers.lab.kind:LAB",
    "vagrant": "machine.drivers.vagrant.driver:VAGRANT",
}


def names() -> list[str]:
    """What `--driver` takes."""
    return sorted({*_OURS, *_others()})


def kind(name: str) -> DriverKind:
    """The driver of that name; NOT_FOUND if there is none, UNAVAILABLE if it cannot be loaded."""
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        ours: DriverKind = getattr(importlib.import_module(module), attribute)
        return ours
    entry = _others().get(name)
    if entry is None:
        raise SwarmError(
            Code.NOT_FOUND,
            f"there is no driver {name}",
            why=f"known are: {', '.join(names())}",
            remedy="install the package that has it beside swarmctl",
        )
    return _loaded(entry)


def kinds() -> tuple[Mapping[str, DriverKind], Mapping[str, SwarmError]]:
    """Every driver by its name, and what is wrong with those that cannot be loaded."""
    found: dict[str, DriverKind] = {}
    failed: dict[str, SwarmError] = {}
    for name in names():
        try:
            found[name] = kind(name)
        except SwarmError as error:
            failed[name] = error
    return found, failed


def _others() -> dict[str, EntryPoint]:
    """By name; nobody takes the name of one of ours."""
    return {each.name: each for each in entry_points(group=GROUP) if each.name not in _OURS}


def _loaded(entry: EntryPoint) -> DriverKind:
    """The object that the entry point names. A package may fail at its import in any way."""
    try:
        loaded = entry.load()
        wrong = "" if loaded.name == entry.name else f"it calls itself {loaded.name!r}"
        _ = (loaded.help, loaded.has_power, tuple(loaded.options), loaded.driver)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        source = entry.dist.name if entry.dist is not None else entry.value
        raise SwarmError(
            Code.UNAVAILABLE,
            f"driver {entry.name} cannot be used",
            why=f"the package {source} is broken: {wrong}",
            remedy="install a version of it for this swarmctl, or remove it",
        )
    kind: DriverKind = loaded
    return kind
