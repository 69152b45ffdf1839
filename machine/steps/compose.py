"""Which steps make of a host what is wanted, in their order. Pure but for the unit's text."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from machine.distribution.own import Distribution
from machine.facts.facts import Facts
from machine.layout import COMMAND, CURRENT, FOLDERS
from machine.packages import needed
from machine.provisioning import Wanted
from machine.steps import settings
from machine.steps.current import Current, FormerVersions
from machine.steps.environment import Environment
from machine.steps.identity import Group, Hostname
from machine.steps.neighbours import NEIGHBOURS
from machine.steps.packages import Packages
from machine.steps.places import File, Link
from machine.steps.service import Service
from machine.steps.step import Step


def compose(facts: Facts, wanted: Wanted, distribution: Distribution | None) -> list[Step]:
    """The steps. Nothing that runs is touched before all that it needs is in place."""
    socket = settings.folders(wanted.settings).socket
    service = Service(wanted.version, unit(), settings.text(wanted.settings), socket)
    return [
        Packages(needed(kernel_wireguard=facts.has("wireguard"))),
        Group(),
        *([Hostname(wanted.hostname)] if wanted.hostname else []),
        Environment(wanted.version, distribution, wanted.bundle),
        *(File(path, content, mode) for path, content, mode in wanted.files),
        *service.files,
        *NEIGHBOURS,
        Link(COMMAND, f"{CURRENT}/bin/swarmctl"),
        Current(wanted.version),
        service,
        FormerVersions(wanted.version),
    ]


def paths(steps: Sequence[Step], folders: Sequence[str]) -> list[str]:
    """What the look has to tell of, for all steps and for the manifest."""
    return sorted({*folders, *(path for step in steps for path in step.paths)})


def folders_for(wanted: Wanted) -> tuple[str, ...]:
    """Those that are ours if they are not there yet, or empty."""
    return tuple(dict.fromkeys((*FOLDERS, settings.folders(wanted.settings).state)))


@cache
def unit() -> bytes:
    """The text of the service's unit."""
    return files("machine.steps").joinpath("swarmd.service").read_bytes()
