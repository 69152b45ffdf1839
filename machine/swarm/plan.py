"""From what is wanted and what was seen to what is done, in order. Pure.

New hosts are installed together; then the first manager alone, versions of managers, further
managers one by one, workers together, versions of workers in batches, options of the swarm, and
only when all of that is done what takes nodes away. Managers that are dead go before others join:
while the seat of a dead one counts, a new one that fails would take the quorum with it.

Whatever interrupts a run, a plan made afterwards goes on from there: nothing is remembered but what
hosts and managers tell.
"""

from collections.abc import Collection, Iterable

from machine.swarm import foresight, judge, lanes
from machine.swarm.actions import Lane, Phase, Plan, SetOptions
from machine.swarm.choices import Choices
from machine.swarm.hooks import hooked
from machine.swarm.options import unmet
from machine.swarm.seen import NodeSeen, Seen
from machine.swarm.wanted import HostWanted, Role, SwarmWanted


def plan(wanted: SwarmWanted, seen: Seen, choices: Choices, only: Collection[str] = ()) -> Plan:
    """The phases that make the swarm as wanted; none, and the reasons, if it must not be done.

    `only`: titles of phases that are to be carried out; empty: all.
    """
    refused = judge.refusals(wanted, seen, choices)
    warned = tuple(judge.warnings(wanted, seen, choices))
    if refused:
        return Plan(refusals=tuple(refused), warnings=warned)
    chosen = [p for p in _phases(wanted, seen, choices) if not only or p.title in only]
    phases = hooked(chosen, wanted, applies=not only)
    warned += tuple(foresight.pauses(Plan(phases).actions(), seen))
    warned += tuple(foresight.locks(Plan(phases).actions(), wanted, seen))
    made = Plan(phases, (), warned, _notes(wanted, seen, choices))
    lost = foresight.losses(made.actions(), seen, may_lose_data=choices.may_lose_data)
    if refused := list(lost):
        return Plan(refusals=tuple(refused), warnings=warned)
    return made


INSTALLED = "Installation"
PREPARED = "Preparation of upgrades"
FIRST = "First manager"
MANAGER_VERSIONS = "Upgrade of managers"
MANAGERS = "Managers"
WORKERS = "Workers"
WORKER_VERSIONS = "Upgrade of workers"
OPTIONS = "Options of the swarm"
DEAD_MANAGERS = "Dead managers to remove"
DEMOTIONS = "Managers that become workers"
REMOVED_MANAGERS = "Managers to remove"
REMOVED_WORKERS = "Workers to remove"
UPGRADES = (PREPARED, MANAGER_VERSIONS, WORKER_VERSIONS)
"""What changes versions of nodes that are there."""


def _phases(wanted: SwarmWanted, seen: Seen, choices: Choices) -> Iterable[Phase]:
    make = lanes.Lanes(wanted, seen, choices)
    present = [each for each in _in_scope(wanted, seen, choices) if not each.is_absent]
    managers = [each for each in present if each.role is Role.MANAGER]
    workers = [each for each in present if each.role is Role.WORKER]
    first = managers[:1] if not seen.cluster_id else []
    rest = managers[len(first) :]
    dead, leaving, others = _going(make, wanted, seen, choices)
    every = (
        Phase(INSTALLED, _each(make.installed, present), together=0, stops=False),
        Phase(PREPARED, _each(make.prepared, present), together=0),
        Phase(FIRST, _each(make.first, first)),
        Phase(MANAGER_VERSIONS, _each(make.manager_version, rest), leader_last=True),
        Phase(DEAD_MANAGERS, dead, needs_all=True),
        Phase(MANAGERS, _each(make.manager, rest), leader_last=True),
        Phase(WORKERS, _each(make.worker, workers), together=0, stops=False),
        Phase(WORKER_VERSIONS, _each(make.worker_version, workers), together=choices.batch),
        Phase(OPTIONS, _options(wanted, seen, managers)),
        Phase(DEMOTIONS, _each(make.demoted, workers), needs_all=True),
        Phase(REMOVED_MANAGERS, leaving, needs_all=True),
        Phase(REMOVED_WORKERS, others, together=0, stops=False, needs_all=True),
    )
    return [each for each in every if each.lanes]


def _going(
    make: lanes.Lanes, wanted: SwarmWanted, seen: Seen, choices: Choices
) -> tuple[tuple[Lane, ...], ...]:
    """Of the nodes that are to go: managers that are dead, other managers, all others."""
    absent = (each for each in _in_scope(wanted, seen, choices) if each.is_absent)
    strange = seen.strange(wanted.hosts.values()) if choices.prune else []
    made = [*map(make.removed, absent), *(make.pruned(each.id) for each in strange)]
    kinds: tuple[list[Lane], ...] = ([], [], [])
    for lane in (each for each in made if each.actions):
        node = make.node_of(lane)
        is_manager = node is not None and node.is_seated
        kinds[2 if not is_manager else 0 if node and node.is_down else 1].append(lane)
    return tuple(map(tuple, kinds))


def _in_scope(wanted: SwarmWanted, seen: Seen, choices: Choices) -> list[HostWanted]:
    return [
        each
        for each in wanted.hosts.values()
        if choices.has(each) and (each.is_absent or not seen.hosts[each.name].error)
    ]


def _each(make: lanes.Maker, hosts: Iterable[HostWanted]) -> tuple[Lane, ...]:
    made = (make(each) for each in hosts)
    return tuple(each for each in made if each.actions)


def _options(wanted: SwarmWanted, seen: Seen, managers: Iterable[HostWanted]) -> tuple[Lane, ...]:
    """A new swarm is made with its options; later ones are set by any manager."""
    changed = tuple(unmet(wanted.options, seen.spec)) if seen.cluster_id else ()
    host = next((each.name for each in managers), "")
    return (Lane(host, (SetOptions(host, options=changed),)),) if changed and host else ()


def _notes(wanted: SwarmWanted, seen: Seen, choices: Choices) -> tuple[str, ...]:
    if choices.prune or choices.limit:
        return ()
    return tuple(
        f"node {each.hostname or each.id}{_how(each)} is in the swarm and in no line of the file: "
        "it stays; --prune removes it"
        for each in seen.strange(wanted.hosts.values())
    )


def _how(node: NodeSeen) -> str:
    if not node.is_down:
        return ""
    return " (down, and counts as a manager)" if node.is_seated else " (down)"
