"""What a run is made from: everything else follows from the seed."""

from collections.abc import Mapping
from dataclasses import dataclass

FAULTS = {
    "kill": "a manager's process dies",
    "stop": "a manager is stopped in order, and hands over",
    "agent": "an agent's process dies",
    "power": "a host loses power, with all that runs on it",
    "sync": "the power goes just before or just after an fsync of a manager",
    "fsync": "a disk fails, and the manager on it stops",
    "slow": "disks take long",
    "pause": "a manager or an agent stands still and goes on",
    "partition": "the network falls apart in two",
    "cutleader": "the leader is cut off from the other managers, but not from agents and people",
    "oneway": "messages pass in one direction only",
    "drop": "messages between managers are lost",
    "delay": "messages take long",
    "reset": "connections break",
    "transfer": "leadership is handed over",
    "crash": "containers end by themselves",
    "ill": "health checks of containers fail",
    "clock": "somebody sets the wall clock of a host",
    "members": "managers become workers, and workers managers",
}

STEPS = 60_000


@dataclass(frozen=True, slots=True)
class Settings:
    """`steps`: callbacks of all processes in the storms; `managers` at the beginning; `volumes`:
    whether a service has one, and clocks differ.
    """

    seed: int
    steps: int = STEPS
    managers: int = 0
    faults: frozenset[str] = frozenset(FAULTS)
    volumes: bool = False

    def command(self) -> str:
        """How to have the same run again."""
        words = [f"SEED={self.seed}", f"STEPS={self.steps}"]
        if self.managers:
            words.append(f"MANAGERS={self.managers}")
        if self.faults != frozenset(FAULTS):
            words.append(f"FAULTS={','.join(sorted(self.faults)) or 'none'}")
        if self.volumes:
            words.append("VOLUMES=1")
        return "python -m tests.sim.control " + " ".join(words)


def settings_of(words: Mapping[str, str], seed: int) -> Settings:
    """Reads SEED, STEPS, MANAGERS, VOLUMES and FAULTS (all, none, or names); ValueError."""
    text = words.get("FAULTS") or "all"
    names = frozenset(FAULTS) if text == "all" else frozenset(text.split(",")) - {"none"}
    if unknown := names - FAULTS.keys():
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))} ({', '.join(FAULTS)})")
    return Settings(
        seed=int(words.get("SEED") or seed),
        steps=int(words.get("STEPS") or STEPS),
        managers=int(words.get("MANAGERS") or 0),
        faults=names,
        volumes=words.get("VOLUMES", "") not in {"", "0"},
    )
