"""Puts hooks into a plan: commands of the operator around what is done with a host. Pure.

A host that nothing is done with gets none run, so a second run has nothing to do either.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from machine.swarm.actions import Action, Lane, Phase, Remove, Run, SetOptions
from machine.swarm.wanted import Hooks, HostWanted, SwarmWanted


def hooked(phases: Sequence[Phase], wanted: SwarmWanted, *, applies: bool) -> tuple[Phase, ...]:
    """The phases with the hooks of their hosts.

    Those of `upgrade` stand around another version; they are run after it also where the host goes
    back. With `applies`, those of `apply` stand before all and after all that is done with a host.
    """
    found = _each(phases, lambda _, lane: _of_upgrade(lane, wanted))
    if not applies:
        return found
    order = [at for at, lane in _lanes(found) if _host_of(lane, wanted) is not None]
    first = {found[i].lanes[j].host: (i, j) for i, j in reversed(order)}
    last = {found[i].lanes[j].host: (i, j) for i, j in order}

    def of_apply(at: tuple[int, int], lane: Lane) -> Lane:
        host = _host_of(lane, wanted)
        if host is None:
            return lane
        before = host.hooks.before_apply if first[lane.host] == at else ()
        after = host.hooks.after_apply if last[lane.host] == at else ()
        return replace(lane, actions=_around(lane.host, before, lane.actions, after))

    return _each(found, of_apply)


def _of_upgrade(lane: Lane, wanted: SwarmWanted) -> Lane:
    """Only of another version there is a way back."""
    host = _host_of(lane, wanted)
    if host is None or not lane.undo:
        return lane
    hooks: Hooks = host.hooks
    return replace(
        lane,
        actions=_around(lane.host, hooks.before_upgrade, lane.actions, hooks.after_upgrade),
        undo=_around(lane.host, (), lane.undo, hooks.after_upgrade),
    )


def _host_of(lane: Lane, wanted: SwarmWanted) -> HostWanted | None:
    """The host that the lane does something with; None where it is a node that goes, or the swarm
    as a whole.
    """
    host = wanted.hosts.get(lane.host)
    is_about_it = not any(isinstance(each, Remove | SetOptions) for each in lane.actions)
    return host if host is not None and not host.is_absent and is_about_it else None


def _around(
    host: str, before: Iterable[str], actions: tuple[Action, ...], after: Iterable[str]
) -> tuple[Action, ...]:
    begins = (Run(host, each) for each in before)
    ends = (Run(host, each, is_after=True) for each in after)
    return (*begins, *actions, *ends)


def _lanes(phases: Sequence[Phase]) -> Iterable[tuple[tuple[int, int], Lane]]:
    for i, phase in enumerate(phases):
        for j, lane in enumerate(phase.lanes):
            yield (i, j), lane


def _each(
    phases: Sequence[Phase], change: Callable[[tuple[int, int], Lane], Lane]
) -> tuple[Phase, ...]:
    return tuple(
        replace(phase, lanes=tuple(change((i, j), lane) for j, lane in enumerate(phase.lanes)))
        for i, phase in enumerate(phases)
    )
