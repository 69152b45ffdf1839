"""Which version the nodes of a swarm are to run: one that can be had, or the one before. Pure."""

from collections.abc import Collection, Iterator

from api.errors import Code, SwarmError
from machine.swarm.seen import Seen
from machine.swarm.wanted import SwarmWanted


def not_to_be_had(wanted: SwarmWanted, seen: Seen, carried: str) -> Iterator[str]:
    """Hosts that need the version of the file, which is not the one that is carried."""
    if not wanted.version or wanted.version == carried:
        return
    for name, host in wanted.hosts.items():
        found = seen.hosts[name]
        present = (found.version, found.previous)
        if not host.is_absent and not found.error and wanted.version not in present:
            yield name


def before(seen: Seen, names: Collection[str], asked: str = "") -> str:
    """The version that these nodes go back to: one that each runs already, or ran before.

    `asked`: the one that the operator names. REFUSED if there is none, or more than one.
    """
    hosts = [seen.hosts[name] for name in names if seen.node_of(name) is not None]
    running = {each.version for each in hosts}
    candidates = {
        version
        for version in {each.previous for each in hosts} | running
        if version and all(version in (each.version, each.previous) for each in hosts)
    }
    candidates -= running if len(running) == 1 else set()
    if asked:
        candidates &= {asked}
    if len(candidates) == 1:
        return candidates.pop()
    ways = {f"{each.version or 'none'} before {each.previous or 'none'}" for each in hosts}
    if candidates:
        raise SwarmError(
            Code.REFUSED,
            "it is not clear which version is meant",
            why=f"each node runs or has one of {', '.join(sorted(candidates))}",
            remedy="name it: --to VERSION",
        )
    raise SwarmError(
        Code.REFUSED,
        f"there is no version {asked} that all nodes can go back to".replace("  ", " "),
        why=f"nodes have: {'; '.join(sorted(ways)) or 'no swarm'}",
        remedy="bring them to one: swarmctl machine upgrade --all --distribution FILE",
    )
