"""The commands of a script by name. It does none of them itself."""

from collections.abc import Callable

from tests.support.raft_script.cluster import Cluster
from tests.support.raft_script.script import Command, ScriptError

Handler = Callable[[Cluster, Command], None]
_HANDLERS: dict[str, Handler] = {}


def handles(name: str) -> Callable[[Handler], Handler]:
    """Registers what does the command `name`."""

    def register(handler: Handler) -> Handler:
        assert name not in _HANDLERS, name
        _HANDLERS[name] = handler
        return handler

    return register


def run(cluster: Cluster, command: Command) -> None:
    """Does what the command says. ScriptError if there is no such command."""
    if command.name not in _HANDLERS:
        raise ScriptError(f"there is no command {command.name}")
    cluster.quiet = "quiet" in command.words
    try:
        _HANDLERS[command.name](cluster, command)
    finally:
        cluster.quiet = False
