"""From what is wanted and what was seen to what is done, in order. Pure.

New hosts are installed together; then the first manager alone, versions of managers, further
managers one by one, workers together, versions of workers in batches, options of the swarm, and
only when all of that is done what takes nodes away. Whatever interrupts a run, a plan made
afterwards goes on from there: nothing is remembered but what hosts and managers tell.
"""

from collections.abc import Collection, Iterable

from machine.swarm import foresight, judge, lanes
from machine.swarm.actions import Lane, Phase, Plan, SetOptions
from machine.swarm.choices import Choices
from machine.swarm.hooks import hooked
from machine.swarm.options import unmet
from machine.swarm.seen import Seen
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
    every = (
        Phase(INSTALLED, _each(make.installed, present), together=0, stops=False),
        Phase(PREPARED, _each(make.prepared, present), together=0),
        Phase(FIRST, _each(make.first, first)),
        Phase(MANAGER_VERSIONS, _each(make.manager_version, rest), leader_last=True),
        Phase(MANAGERS, _each(make.manager, rest), leader_last=True),
        Phase(WORKERS, _each(make.worker, workers), together=0, stops=False),
        Phase(WORKER_VERSIONS, _each(make.worker_version, workers), together=choices.batch),
        Phase(OPTIONS, _options(wanted, seen, managers)),
        Phase(DEMOTIONS, _each(make.demoted, workers), needs_all=True),
        *_removals(make, wanted, seen, choices),
    )
    return [each for each in every if each.lanes]


def _removals(
    make: lanes.Lanes, wanted: SwarmWanted, seen: Seen, choices: Choices
) -> Iterable[Phase]:
    going = [
        *(make.removed(each) for each in _in_scope(wanted, seen, choices) if each.is_absent),
        *(make.pruned(each) for each in (_strange(seen) if choices.prune else ())),
    ]
    for title, seated, together in ((REMOVED_MANAGERS, True, 1), (REMOVED_WORKERS, False, 0)):
        chosen = tuple(each for each in going if each.actions and make.is_seated(each) == seated)
        yield Phase(title, chosen, together=together, stops=seated, needs_all=True)


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


def _strange(seen: Seen) -> list[str]:
    """Ids of nodes that no host of the file is."""
    ours = {each.node_id for each in seen.hosts.values()}
    return [each for each in seen.nodes if each not in ours]


def _notes(wanted: SwarmWanted, seen: Seen, choices: Choices) -> tuple[str, ...]:
    if choices.prune or choices.limit or any(each.error for each in seen.hosts.values()):
        return ()
    return tuple(
        f"node {seen.nodes[each].hostname or each} is in the swarm and in no line of the file: it "
        "stays; --prune removes it"
        for each in _strange(seen)
    )
