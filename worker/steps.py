"""What steps of a host's fabric mean for the tasks of this node. Pure."""

from collections.abc import Iterable

from overlay_net.fabric.operations import (
    DropEntries,
    MakeLeg,
    Operation,
    PutEntries,
    RemoveLeg,
    RemoveTunnel,
    SetLeg,
    SetRoute,
)


def takes_back(step: Operation) -> bool:
    """Whether who was there before is forgotten by it."""
    return isinstance(step, DropEntries | PutEntries | RemoveLeg | RemoveTunnel)


def concerns(step: Operation, path: str) -> bool:
    """Whether a network stack, by its file, is without something it needs if the step failed."""
    match step:
        case MakeLeg(key=key) | SetLeg(key=key):
            return key.sandbox == path
        case SetRoute(sandbox=sandbox):
            return sandbox == path
    return False


def renewed(steps: Iterable[Operation]) -> list[str]:
    """The files of network stacks in which an interface was made."""
    return [step.key.sandbox for step in steps if isinstance(step, MakeLeg)]
