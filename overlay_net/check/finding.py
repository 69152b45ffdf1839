"""What is wrong with a network of a host, for people at three in the morning. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it ought to be.

    `network`: its id; "" of the host itself. `command`: shows more, or mends it. `note`: nothing is
    broken by it now. `mends`: an operator who wants things mended may have the command run.
    """

    what: str
    network: str = ""
    expected: str = ""
    found: str = ""
    why: str = ""
    remedy: str = ""
    command: str = ""
    note: bool = False
    mends: bool = False


FIX = "swarmctl network check --fix"
SOMEBODY = "somebody changed it by hand, or another program: only swarmd does so in order"
RESYNC = "swarmd mends it by itself within a minute, or at once with --fix"


def shown(parts: Iterable[str], most: int = MOST_SHOWN) -> str:
    """The first of a list, and how many more there are."""
    listed = list(parts)
    more = len(listed) - most
    text = "; ".join(listed[:most])
    return f"{text}; and {more} more" if more > 0 else text
