"""What a run is made from: everything else follows from the seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FAULTS = {
    "drop": "messages are lost",
    "delay": "messages take long, and overtake each other",
    "duplicate": "messages arrive twice",
    "partition": "the network falls apart in two, or one member is cut off",
    "oneway": "messages pass in one direction only",
    "kill": "a process dies, its machine does not; one, or all at once",
    "power": "a machine loses power between two operations of its disk, or all do",
    "sync": "the power goes just before or just after an fsync",
    "fsync": "an fsync fails, and the member stops",
    "full": "a disk is full for a while",
    "slow": "a disk takes long",
    "rot": "a byte that was durable changes; the member is wiped and joins under a new id",
    "pause": "a process stands still and goes on",
    "clocks": "clocks run at different rates",
    "members": "members join, are promoted, demoted, removed and replaced",
    "transfer": "leadership is handed over",
    "snapshot": "snapshots are cut in transfer",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """`steps`: events of the storm and of its calms. `nodes`: voters at the start.

    `machine`: "chain" (a hash of all that was applied) or "store" (the real one). `sealed`: the
    disk is encrypted, as in production. `lazy`: leaders do not tell of commits at once, as there.
    """

    seed: int
    steps: int = 20_000
    nodes: int = 3
    faults: frozenset[str] = frozenset(FAULTS)
    machine: str = "chain"
    sealed: bool = False
    lazy: bool = False

    def command(self) -> str:
        """How to have the same run again."""
        faults = "all" if self.faults == frozenset(FAULTS) else ",".join(sorted(self.faults))
        words = [f"SEED={self.seed}", f"STEPS={self.steps}", f"NODES={self.nodes}"]
        words.append(f"FAULTS={faults or 'none'}")
        if self.machine != "chain":
            words.append(f"MACHINE={self.machine}")
        if self.sealed:
            words.append("SEALED=1")
        if self.lazy:
            words.append("LAZY=1")
        return "make sim " + " ".join(words)


def faults_of(text: str) -> frozenset[str]:
    """Reads "all", "none", or names separated by commas; ValueError for an unknown one."""
    if text in {"", "all"}:
        return frozenset(FAULTS)
    if text == "none":
        return frozenset()
    names = frozenset(text.split(","))
    if unknown := names - FAULTS.keys():
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))} (there are: {known()})")
    return names


def known() -> str:
    """The names of all faults."""
    return ", ".join(FAULTS)


def settings_of(words: Mapping[str, str], seed: int) -> Settings:
    """Reads SEED, STEPS, NODES, FAULTS, MACHINE, SEALED, LAZY; what is not there is by default."""
    return Settings(
        seed=int(words.get("SEED") or seed),
        steps=int(words.get("STEPS") or 20_000),
        nodes=int(words.get("NODES") or 3),
        faults=faults_of(words.get("FAULTS", "")),
        machine=words.get("MACHINE") or "chain",
        sealed=words.get("SEALED", "") not in {"", "0"},
        lazy=words.get("LAZY", "") not in {"", "0"},
    )


def without(*names: str) -> frozenset[str]:
    """All faults but these."""
    return frozenset(FAULTS) - frozenset(names)


def only(*names: str) -> frozenset[str]:
    """These faults; ValueError for an unknown one."""
    return faults_of(",".join(names))


def parse_words(arguments: Iterable[str]) -> dict[str, str]:
    """`NAME=value` arguments as a mapping; ValueError for anything else."""
    words = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"{argument!r} is not of the form NAME=value")
        words[name.upper()] = value
    return words
