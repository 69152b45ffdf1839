"""The table of virtual addresses as every container begins with it, as messages. Pure.

It is what `views.BASE` says in the language of nftables, which every container's start would have
libnftables read: that costs as much as making its devices. A test compares the two.
"""

import itertools
from functools import cache

from hostkit.netlink_message import Message
from overlay_net import nf_expressions as nf
from overlay_net.balance.views import BASE, MOST, TABLE
from overlay_net.nfnetlink import DESTINATIONS, OUTPUT, POSTROUTING

_NEW, _LED = 0x8, 0x20  # of a connection's state and status: nothing answered it; sent elsewhere
_LENGTHS = {"4": 4, "6": 16}


@cache
def messages() -> tuple[Message, ...]:
    """Goes before `views.messages` of a container that has no such table."""
    numbers = itertools.count(1)
    made = [
        TABLE.begin(),
        TABLE.hooked("output", "nat", OUTPUT, DESTINATIONS),
        TABLE.hooked("remember", "filter", POSTROUTING, 0),
        TABLE.chain(BASE.version),
    ]
    for family, length in _LENGTHS.items():
        made.append(TABLE.verdicts(f"virtual{family}", length, next(numbers)))
    for family, length in _LENGTHS.items():
        made.append(TABLE.seen(f"used{family}", length, next(numbers), MOST))
    fresh, led = nf.connection(nf.STATE, _NEW), nf.connection(nf.STATUS, _LED)
    for family, length in _LENGTHS.items():
        where = nf.of_family(length), nf.destination(length)
        made.append(TABLE.rule("output", fresh, *where, nf.go_by(f"virtual{family}")))
        made.append(TABLE.rule("remember", fresh, led, *where, nf.remember(f"used{family}")))
    return tuple(made)
