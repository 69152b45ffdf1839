"""What `vagrant` says, read: states of virtual machines, and how SSH gets into one. Pure."""

from api.errors import Code, SwarmError
from machine.driver import State
from machine.target import Target

_STATES = {
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "saved": State.STOPPED,
    "poweroff": State.STOPPED,
    "shutoff": State.STOPPED,
    "aborted": State.STOPPED,
    "stopped": State.STOPPED,
}
_NO_MACHINE = ("not_created", "not created")
_WORDS = 3


def state_in(output: str, machine: str) -> State | None:
    """The state in `vagrant status --machine-readable`; None if the machine was not made yet.

    UNAVAILABLE if it says nothing of the machine, or a word that nobody knows.
    """
    for line in output.splitlines():
        fields = line.split(",")
        if fields[1:3] == [machine, "state"] and len(fields) > _WORDS:
            word = fields[_WORDS].strip()
            if word in _NO_MACHINE:
                return None
            if word in _STATES:
                return _STATES[word]
            raise SwarmError(Code.UNAVAILABLE, f"vagrant calls {machine} {word!r}")
    raise SwarmError(
        Code.UNAVAILABLE,
        f"vagrant tells no state of {machine}",
        remedy="look at the Vagrantfile: the machine must be defined there",
    )


def target_in(output: str, machine: str) -> Target:
    """How SSH gets there, from `vagrant ssh-config`; UNAVAILABLE if that is not said."""
    said: dict[str, str] = {}
    for line in output.splitlines():
        key, _, value = line.strip().partition(" ")
        said.setdefault(key.lower(), value.strip().strip('"'))
    if "hostname" not in said:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"vagrant does not say how {machine} is reached",
            remedy="start it: swarmctl machine start",
        )
    return Target(
        host=said["hostname"],
        user=said.get("user", ""),
        port=int(said.get("port", "0")),
        key=said.get("identityfile", ""),
        agent=False,
    )
