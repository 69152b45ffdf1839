"""How a plan is shown to people, and as a document. Pure.

A line for each action with the sign of what it does: + makes, ~ changes, - takes away, ! restarts;
waits have none.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from machine.provisioning import Kind
from machine.swarm.actions import Action, Install, Lane, Phase, Plan, is_hook_after
from machine.swarm.outcome import Outcome

_WORDS = {
    Kind.ADD: "to add",
    Kind.CHANGE: "to change",
    Kind.REMOVE: "to remove",
    Kind.RESTART: "to restart",
}


def kind_of(action: Action) -> Kind | None:
    """The sign of an action: an installation that restarts a node is a restart."""
    if isinstance(action, Install):
        kinds = {each.kind for each in action.changes}
        return Kind.RESTART if Kind.RESTART in kinds else Kind.ADD if kinds == {Kind.ADD} else None
    return action.kind


def remarks(plan: Plan) -> Iterator[str]:
    """What is to be known of it beside: for standard error."""
    for warning in plan.warnings:
        yield f"Warning: {warning}"
    for note in plan.notes:
        yield f"Note: {note}"
    for refusal in plan.refusals:
        yield f"Refused: {refusal}"


def lines(plan: Plan, *, full: bool = False) -> Iterator[str]:
    """The plan; `full`: with every change of an installation, and with waits. Nothing if empty."""
    for phase in plan.phases:
        yield ""
        yield f"{phase.title}{_how(phase)}"
        for lane in phase.lanes:
            yield from _lane(lane, full)
    if plan.phases:
        yield ""
        yield summary(plan)


def summary(plan: Plan) -> str:
    """How much there is of each kind."""
    counts = Counter(_sign(each) for each in plan.actions() if each.kind is not None)
    parts = [f"{counts[kind]} {word}" for kind, word in _WORDS.items() if counts[kind]]
    return f"Plan: {', '.join(parts)}."


def standing(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """What a run that did not come to its end has done, and what it has not."""
    every = [each for each in plan.actions() if each.kind is not None]
    done = sum(each.kind is not None for each in outcome.done)
    yield f"{done} of {len(every)} actions were done."
    for action in outcome.busy:
        yield f"Cut off, may be half done: {action.host}: {action.text}"
    begun = {*(each.host for each in (*outcome.done, *outcome.busy)), *outcome.failures}
    untouched = dict.fromkeys(each.host for each in every if each.host not in begun)
    if untouched:
        yield f"As before: {', '.join(untouched)}"
    left = [each for each in every if is_hook_after(each) and each.host in begun]
    for hook in dict.fromkeys(each for each in left if each not in outcome.done):
        yield (
            f"Was not run: {hook.host}: {hook.text.removeprefix('run ')}; "
            "run it there by hand if the same again finds nothing to do with the host"
        )


def document(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "refusals": list(plan.refusals),
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
        "phases": [
            {
                "title": phase.title,
                "actions": [_document(each) for lane in phase.lanes for each in lane.actions],
            }
            for phase in plan.phases
        ],
    }


def _document(action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {
        "host": action.host,
        "sign": _sign(action).value if action.kind is not None else "",
        "action": action.text,
    }
    if isinstance(action, Install):
        found["changes"] = [
            {"sign": c.kind.value, "step": c.step, "what": c.what, "why": c.why}
            for c in action.changes
        ]
    return found


def _sign(action: Action) -> Kind:
    return kind_of(action) or Kind.CHANGE


def _how(phase: Phase) -> str:
    if len(phase.lanes) == 1:
        return ""
    if phase.together == 1:
        return ", one by one" + (", the leader last" if phase.leader_last else "")
    return f", {phase.together} at a time" if phase.together else ", together"


def _lane(lane: Lane, full: bool) -> Iterator[str]:
    name = lane.host
    for action in lane.actions:
        if action.kind is None and not full:
            continue
        sign = _sign(action).value if action.kind is not None else " "
        yield f"  {name:<16} {sign} {action.text}"
        name = ""
        if isinstance(action, Install) and full:
            for change in action.changes:
                why = f" ({change.why})" if change.why else ""
                yield f"  {'':<16}     {change.kind.value} {change.what}{why}"
