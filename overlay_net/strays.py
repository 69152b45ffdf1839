"""Connections that were led to tasks which are gone, as a daemon finds them when it starts.
Pure.
"""

import ipaddress
from collections.abc import Collection

from overlay_net.ctnetlink import Entry

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_stray(entry: Entry, pools: Collection[Network], living: Collection[str]) -> bool:
    """Whether it was led to an address of these networks where no task is any more."""
    answering = entry.answered.source
    if not entry.translated or str(answering) in living:
        return False
    return any(answering in pool for pool in pools)
