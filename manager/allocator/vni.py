"""The numbers that tell overlay networks apart on the wire: VXLAN network identifiers, RFC 7348.

Pure. One that was given back is given out again only after all others: a node that still knows the
former network would put two into one.
"""

from collections.abc import Container
from itertools import chain

FIRST = 4096
"""As Docker's: lower ones are left to networks of the underlay's own."""
LAST = 2**24 - 1


def next_vni(last: int, used: Container[int]) -> int | None:
    """The first free one after `last` (0: none was given out yet); None if all are used."""
    start = max(FIRST, last + 1)
    for vni in chain(range(start, LAST + 1), range(FIRST, start)):
        if vni not in used:
            return vni
    return None
