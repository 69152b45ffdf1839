"""Which name server is asked next, and how many questions may be under way. Pure."""

from collections import Counter
from collections.abc import Iterable

MAX_SERVERS = 3
"""As many of a list as a C library asks."""
TRY = 1.5
"""Seconds for one server to answer in."""
ROUNDS = 2
"""How often each is asked: a datagram may be lost."""
WHOLE = 4.5
"""Seconds for all: a client hears of a failure before it gives up (5 s) and asks again."""
REST = 30.0
"""Seconds for which a server that kept silent is asked only after the others."""

MAX_OUTSTANDING = 1024
"""Questions under way to other servers, on this node."""
MAX_PER_CONTAINER = 100


class Standing:
    """Remembers who kept silent, so that a dead server delays one question and not each."""

    def __init__(self) -> None:
        self._silent: dict[str, float] = {}

    def order(self, servers: Iterable[str], now: float) -> list[str]:
        """The servers as to be asked: as given, but those that kept silent lately last."""
        self._silent = {s: until for s, until in self._silent.items() if until > now}
        return sorted(servers, key=self._silent.__contains__)

    def silent(self, server: str, now: float) -> bool:
        """It did not answer; whether that is news."""
        new = self._silent.get(server, now) <= now
        self._silent[server] = now + REST
        return new

    def answered(self, server: str) -> None:
        """It did."""
        self._silent.pop(server, None)


class Quota:
    """So many questions under way, for the node and for each container: none starves the others."""

    def __init__(self, whole: int = MAX_OUTSTANDING, each: int = MAX_PER_CONTAINER) -> None:
        self._whole = whole
        self._each = each
        self._taken: Counter[str] = Counter()
        self._sum = 0

    def take(self, container: str) -> bool:
        """One more, if there is room for it."""
        if self._sum >= self._whole or self._taken[container] >= self._each:
            return False
        self._taken[container] += 1
        self._sum += 1
        return True

    def give(self, container: str) -> None:
        """One less."""
        self._taken[container] -= 1
        self._sum -= 1
        if not self._taken[container]:
            del self._taken[container]
