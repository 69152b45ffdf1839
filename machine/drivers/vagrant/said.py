"""What `vagrant` says, read: states of virtual machines, and how SSH gets into one. Pure."""

from api.errors import Code, SwarmError
from machine.driver import State
from machine.target import Target

_STATES = {
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "suspended": State.PAUSED,
    "pmsuspended": State.PAUSED,
    "saved": State.STOPPED,
    "poweroff": State.STOPPED,
    "shutoff": State.STOPPED,
    "aborted": State.STOPPED,
    "aborted-saved": State.STOPPED,
    "crashed": State.STOPPED,
    "stopped": State.STOPPED,
    "not_running": State.STOPPED,
    "off": State.STOPPED,
}
"""Of the providers libvirt, virtualbox, qemu, vmware, parallels and hyperv."""
_NO_MACHINE = ("not_created", "not created")
_WORDS = 3


def state_in(output: str, machine: str) -> State | None:
    """The state in `vagrant status --machine-readable`; None if the machine was not made yet.

    UNAVAILABLE if it says nothing of the machine, or a word that nobody knows.
    """
    word = _word(output, machine)
    if word in _NO_MACHINE:
        return None
    if word in _STATES:
        return _STATES[word]
    raise SwarmError(
        Code.UNAVAILABLE,
        f"vagrant calls {machine} {word!r}",
        remedy="see vagrant status in the folder of the Vagrantfile",
    )


def is_missing(output: str, machine: str) -> bool:
    """Whether the machine was not made yet, as `state_in`; False for words that nobody knows."""
    return _word(output, machine) in _NO_MACHINE


def _word(output: str, machine: str) -> str:
    for line in output.splitlines():
        fields = line.split(",")
        if fields[1:3] == [machine, "state"] and len(fields) > _WORDS:
            return fields[_WORDS].strip()
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
    port = said.get("port", "0")
    return Target(
        host=said["hostname"],
        user=said.get("user", ""),
        port=int(port) if port.isdecimal() else 0,
        key=said.get("identityfile", ""),
        agent=False,
    )


def address_in(output: str) -> str:
    """An address at which others reach the machine, from what `ip` says there: of a network that
    does not lead out, for the other one is Vagrant's own, and the same in each machine. "" if none.
    """
    lines = [line.split() for line in output.splitlines()]
    ways_out = {line[line.index("dev") + 1] for line in lines if _is_way_out(line)}
    for line in lines:
        if len(line) > _WORDS and line[2] == "inet" and line[1] not in ways_out:
            return line[3].partition("/")[0]
    return ""


def _is_way_out(line: list[str]) -> bool:
    return line[:1] == ["default"] and "dev" in line[:-1]
