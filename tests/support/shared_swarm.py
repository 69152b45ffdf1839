"""One swarm that modules of scenarios use in turn: to bring one up costs more than most scenarios.

It is handed on as long as everybody leaves it as he found it; else the next one gets a new one.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.cluster import Swarm, a_swarm

_NOUNS = ("service", "network", "secret", "config", "volume")
_NODE = "{{.ID}} {{.Status.State}} {{json .Spec}}"


class SharedSwarm:
    """Of a manager and two workers. `config`: a folder for its contexts."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._swarm: Swarm | None = None
        self._as_made = ""
        self._ends = ExitStack()

    def take(self) -> Swarm:
        """The swarm, as a new one is."""
        if self._swarm is None or self._swarm.was_mended or _state(self._swarm) != self._as_made:
            self.close()
            name = f"s{os.getpid()}"
            self._swarm = self._ends.enter_context(a_swarm(self._config, name=name))
            self._as_made = _state(self._swarm)
        return self._swarm

    def close(self) -> None:
        """Takes it down, if there is one."""
        self._swarm = None
        self._ends.close()


def _state(swarm: Swarm) -> str:
    """What anybody may have changed of it and of its hosts, in words to be compared."""
    asks: list[Callable[[], object]] = [
        *(lambda noun=noun: swarm.ctl(noun, "ls", "-q").lines for noun in _NOUNS),
        lambda: swarm.ctl("node", "inspect", "-f", _NODE, *swarm.hosts()),
        lambda: swarm.ctl("swarm", "inspect", "-f", "{{json .Spec}}"),
        lambda: swarm.lab("ls", "--filter", f"lab={swarm.name}"),
        swarm.containers,
    ]
    return "\n".join(str(ask()) for ask in asks)
