"""What a host's kernel has of networks, as `ip`, `bridge` and `nft` show it; never by our code."""

import asyncio
import re

from tests.support.cluster import Swarm

_HOST = """
ip netns list | sed 's/ (id.*//' | sort
ip -o -d link; ip -o addr; ip rule; ip -6 rule
ip route show table all; ip -6 route show table all
ip neigh; ip -6 neigh
nft list ruleset
for space in $(ip netns list | cut -d' ' -f1 | sort); do
    echo "== $space"
    ip -n $space -o -d link; ip -n $space -o addr
    ip -n $space route show table all; ip -n $space -6 route show table all
    ip -n $space neigh; ip -n $space -6 neigh; bridge -n $space fdb show
    ip netns exec $space nft list ruleset
done
"""
_COUNTS = re.compile(r"\w+_timer +\S+|bridge_id \S+|designated_root \S+")
_COME_AND_GO = re.compile(r" (REACHABLE|STALE|DELAY|PROBE|FAILED|INCOMPLETE)\s*$")


def dump(swarm: Swarm, host: str) -> str:
    """Links, addresses, routes, neighbours, forwarding entries and rules, of the host and of each
    named namespace on it.
    """
    done = asyncio.run(swarm.host(host).run(["sh", "-c", _HOST]))
    return done.out.decode(errors="replace")


def settled(text: str) -> list[str]:
    """The lines of a dump, in some order, without what the kernel learns and forgets by itself."""
    whole = _COUNTS.sub("", text)
    kept = (line.strip() for line in whole.splitlines() if not _COME_AND_GO.search(line))
    return sorted(filter(None, kept))


def mentioning(text: str, *words: str) -> list[str]:
    """The lines that name any of these addresses, not as part of a longer one; but not what the
    kernel has learnt by itself of neighbours, and forgets.
    """
    found = re.compile("|".join(rf"(?<![\w.:]){re.escape(word)}(?![\w:]|\.\d)" for word in words))
    return [line for line in settled(text) if found.search(line)]
