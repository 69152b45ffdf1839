"""Why a cluster file must not be carried out as things are, and what to warn of. Pure.

Whatever could make a second swarm is refused here, before anything is changed; what would lose the
quorum or data, in machine.swarm.foresight.
"""

from collections import defaultdict
from collections.abc import Iterator

from machine.swarm.choices import Choices
from machine.swarm.options import unmet
from machine.swarm.seen import TO_UNLOCK, Seen, Standing
from machine.swarm.wanted import HostWanted, Role, SwarmWanted

_MANY = 7
_MEMBERS = (Standing.ACTIVE, Standing.PENDING, Standing.LOCKED)
_TO_FIND_OUT = "start it there: systemctl start swarmd"


def refusals(wanted: SwarmWanted, seen: Seen, choices: Choices) -> list[str]:
    """Every reason, with its remedy; empty if the file may be carried out."""
    found = [
        *_of_choices(choices),
        *_hosts_in_trouble(wanted, seen, choices),
        *_one_host_twice(seen),
        *_other_swarms(seen),
    ]
    if seen.cluster_id:
        found += _of_a_swarm(wanted, seen)
    else:
        found += _of_no_swarm(wanted, seen, choices)
    return found


def warnings(wanted: SwarmWanted, seen: Seen, choices: Choices) -> list[str]:
    """What is allowed, and better known."""
    managers = len(wanted.managers())
    found = []
    if managers % 2 == 0:
        found.append(
            f"{managers} managers bear the loss of as many as {managers - 1} do: take an odd number"
        )
    if managers > _MANY:
        found.append(f"more than {_MANY} managers make every change slower and bear little more")
    found += _of_hosts(seen)
    found += [
        f"{host.name} is left out: {seen.hosts[host.name].error}"
        for host in _unreached(wanted, seen, choices)
        if _may_be_left_out(host, choices)
    ]
    return found


def _of_hosts(seen: Seen) -> Iterator[str]:
    """What hosts lack, once for all that lack the same."""
    lacking: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, host in seen.hosts.items():
        for each in host.problems:
            if not each.fatal:
                lacking[each.what, each.remedy].append(name)
    for (what, remedy), names in lacking.items():
        yield f"{', '.join(names)}: {what}: {remedy}"


def _of_choices(choices: Choices) -> Iterator[str]:
    if choices.limit and choices.prune:
        yield "--prune looks at every host: leave --limit out"


def _unreached(wanted: SwarmWanted, seen: Seen, choices: Choices) -> Iterator[HostWanted]:
    for host in wanted.hosts.values():
        if choices.has(host) and seen.hosts[host.name].error:
            yield host


def _may_be_left_out(host: HostWanted, choices: Choices) -> bool:
    return choices.may_skip and host.role is Role.WORKER and not host.is_absent


def _hosts_in_trouble(wanted: SwarmWanted, seen: Seen, choices: Choices) -> Iterator[str]:
    for host in _unreached(wanted, seen, choices):
        found = seen.hosts[host.name]
        if host.is_absent:
            yield from _not_surely_gone(host, seen)
        elif not _may_be_left_out(host, choices):
            yield f"{host.name} is not reached: {found.error}"
        if choices.prune and not host.is_absent:
            yield f"--prune needs to know which node {host.name} is, and it is not reached"
    for host in wanted.hosts.values():
        found = seen.hosts[host.name]
        if not choices.has(host):
            continue
        if not host.is_absent:
            yield from (f"{host.name}: {p.what}: {p.remedy}" for p in found.problems if p.fatal)
        if found.standing is Standing.LOCKED:
            yield f"{host.name} is locked: {TO_UNLOCK}"
        if found.standing is Standing.UNKNOWN:
            yield from _of_a_silent_daemon(host, choices)


def _of_a_silent_daemon(host: HostWanted, choices: Choices) -> Iterator[str]:
    """Which node it is, its daemon alone knows; a plan without --prune starts that."""
    if host.is_absent:
        yield f"{host.name} was in a swarm, and swarmd does not answer: {_TO_FIND_OUT}"
    elif choices.prune:
        yield (
            f"--prune needs to know which node {host.name} is, and swarmd does not answer there: "
            f"{_TO_FIND_OUT}, or leave --prune out first"
        )


def _not_surely_gone(host: HostWanted, seen: Seen) -> Iterator[str]:
    """A host that cannot be asked is known by name and address alone: only one goes that is down"""
    named = seen.called(host)
    if len(named) > 1:
        ids = ", ".join(each.id for each in named)
        yield (
            f"{host.name} is not reached, and several nodes have its name or address: {ids}: "
            "remove the right one there: swarmctl node rm --force ID"
        )
    elif named and not named[0].is_down:
        yield (
            f"{host.name} is to be absent and is not reached over SSH, but the managers hold it "
            "for up: make it reachable, or stop it; if it has just died, wait until node ls shows "
            "it as Down"
        )


def _one_host_twice(seen: Seen) -> Iterator[str]:
    by_node: dict[str, str] = {}
    for name, host in seen.hosts.items():
        if host.node_id and host.node_id in by_node:
            yield f"{by_node[host.node_id]} and {name} are the same host: keep one of them"
        by_node[host.node_id] = name


def _other_swarms(seen: Seen) -> Iterator[str]:
    ours = seen.cluster_id
    for name, host in seen.hosts.items():
        if host.cluster_id and ours and host.cluster_id != ours:
            yield (
                f"{name} is in another swarm ({host.cluster_id}, not {ours}): take it out there: "
                "swarmctl swarm leave --force"
            )


def _of_no_swarm(wanted: SwarmWanted, seen: Seen, choices: Choices) -> Iterator[str]:
    """A swarm is made only where surely none is: a second one would divide the hosts for ever."""
    managers = wanted.managers()
    for host in managers:
        found = seen.hosts[host.name]
        if found.error and not choices.has(host):
            yield f"no swarm was found, but {host.name} is not reached: {found.error}"
    for host in wanted.hosts.values():
        if host.role is Role.MANAGER and host.is_absent and seen.hosts[host.name].error:
            yield (
                f"no swarm was found, but {host.name}, which is to be absent, is not reached: "
                "delete its line if it is gone for good"
            )
    for name, found in seen.hosts.items():
        if found.standing in _MEMBERS:
            yield f"{name} is in a swarm of which no manager is in the file"
        elif found.standing is Standing.UNKNOWN:
            yield f"{name} was in a swarm, and swarmd does not answer there: {_TO_FIND_OUT}"
    if managers and not any(choices.has(host) for host in managers):
        yield "there is no swarm yet: --limit has to name a manager, which is the first"


def _of_a_swarm(wanted: SwarmWanted, seen: Seen) -> Iterator[str]:
    if seen.trouble:
        yield f"the managers cannot be asked: {seen.trouble}"
        return
    for option, value in unmet(wanted.options, seen.spec):
        if option.is_fixed:
            yield (
                f"swarm.{option.name} cannot be {value}: it is settled when a swarm is made, "
                f"and is {seen.spec.get(option.key, 'the default')}"
            )
