"""What steps of a host's fabric mean for the tasks of this node. Pure."""

from collections.abc import Iterable

from api.errors import SwarmError
from overlay_net.fabric.operations import (
    DropEntries,
    MakeBridge,
    MakeLeg,
    MakeTunnel,
    Operation,
    PutEntries,
    RemoveDevice,
    RemoveLeg,
    RemoveTunnel,
    SetBridge,
    SetLeg,
    SetRoute,
    SetTunnel,
)


def takes_back(step: Operation) -> bool:
    """Whether who was there before is forgotten by it."""
    return isinstance(step, DropEntries | PutEntries | RemoveLeg | RemoveTunnel)


def hindrance(failed: Iterable[tuple[Operation, SwarmError]], path: str) -> SwarmError | None:
    """Why a network stack, by its file, is without something it needs: what failed first of its
    own, or of what that stands on. None if it has all; others may not.
    """
    errors = list(failed)
    own = [step for step, _ in errors if _concerns(step, path)]
    ground = {step.leg.parent for step in own if isinstance(step, MakeLeg | SetLeg)}
    return next((why for step, why in errors if step in own or _device(step) in ground), None)


def renewed(steps: Iterable[Operation]) -> list[str]:
    """The files of network stacks in which an interface was made."""
    return [step.key.sandbox for step in steps if isinstance(step, MakeLeg)]


def _concerns(step: Operation, path: str) -> bool:
    match step:
        case MakeLeg(key=key) | SetLeg(key=key):
            return key.sandbox == path
        case SetRoute(sandbox=sandbox):
            return sandbox == path
    return False


def _device(step: Operation) -> str:
    """The tunnel or bridge that a step is for; nothing if it is for something else."""
    match step:
        case MakeTunnel(tunnel=made) | SetTunnel(tunnel=made):
            return made.name
        case MakeBridge(bridge=made) | SetBridge(bridge=made):
            return made.name
        case RemoveTunnel(name=name) | RemoveDevice(name=name):
            return name
    return ""
