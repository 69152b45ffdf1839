"""What a plan is made of: actions, in lanes that run one after another, in phases. Data only.

Every action may be carried out twice, and says in one line what it does. What it needs to know of
hosts and nodes that come into being on the way is found out when it is carried out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from machine.provisioning import Change, Kind
from machine.swarm.options import Option, Value
from machine.swarm.wanted import Availability, Role

_SHOWN = 60
"""Characters of a command that plans show."""


@dataclass(frozen=True)
class Action:
    """Of one host; `node_id` names the node where the host itself cannot, or is not in the file."""

    host: str
    node_id: str = field(default="", kw_only=True)

    kind: ClassVar[Kind | None] = Kind.CHANGE
    """The sign that plans show it with; None for a mere wait."""
    says: ClassVar[str] = ""

    @property
    def text(self) -> str:
        """What it does, as "join the swarm as a worker"."""
        return self.says


@dataclass(frozen=True)
class Install(Action):
    """Brings on the host all that a node needs, in the version that is wanted."""

    changes: tuple[Change, ...] = ()
    version: str = ""

    @property
    def text(self) -> str:
        """With the version."""
        return f"install swarmd {self.version}".rstrip()


@dataclass(frozen=True)
class Prepare(Action):
    """Brings a version to the host, where another one runs on meanwhile."""

    version: str = ""

    kind: ClassVar[Kind | None] = Kind.ADD

    @property
    def text(self) -> str:
        """With the version."""
        return f"bring swarmd {self.version} there, and do not run it yet"


@dataclass(frozen=True)
class Init(Action):
    """Makes the host the first manager of a new swarm."""

    availability: Availability = Availability.ACTIVE

    kind: ClassVar[Kind | None] = Kind.ADD
    says: ClassVar[str] = "make a new swarm, with this host as its first manager"


@dataclass(frozen=True)
class Join(Action):
    """Makes the host a node of the swarm."""

    role: Role = Role.WORKER
    availability: Availability = Availability.ACTIVE

    kind: ClassVar[Kind | None] = Kind.ADD

    @property
    def text(self) -> str:
        """With what it is to be."""
        return f"join the swarm as a {self.role.value}"


@dataclass(frozen=True)
class SetRole(Action):
    """Promotes or demotes a node."""

    role: Role = Role.WORKER

    @property
    def text(self) -> str:
        """With what it is to be."""
        return "promote to a manager" if self.role is Role.MANAGER else "demote to a worker"


@dataclass(frozen=True)
class Adjust(Action):
    """Gives a node labels, takes some off, sets its availability."""

    labels: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    availability: Availability | None = None

    @property
    def text(self) -> str:
        """With what it is to be."""
        parts = [f"{key}={value}" for key, value in sorted(self.labels.items())]
        parts += [f"without {key}" for key in self.dropped]
        said = [f"label {', '.join(parts)}"] if parts else []
        if self.availability is not None:
            said.append(f"availability {self.availability.value}")
        return "; ".join(said)


@dataclass(frozen=True)
class SetOptions(Action):
    """Changes options of the swarm, by a manager on the host."""

    options: tuple[tuple[Option, Value], ...] = ()

    @property
    def text(self) -> str:
        """With what it is to be."""
        return "set " + " ".join(w for each, value in self.options for w in each.words(value))


@dataclass(frozen=True)
class Drain(Action):
    """Moves the tasks of a node away, and waits until it is empty.

    `is_passing`: what it was before is noted on the node, for Restore.
    """

    is_passing: bool = False
    says: ClassVar[str] = "drain, and wait until it is empty"


@dataclass(frozen=True)
class Restore(Action):
    """Gives a node that was drained in passing the availability that it had, or is to have."""

    availability: Availability | None = None

    @property
    def text(self) -> str:
        """With what it is to be."""
        wanted = self.availability.value if self.availability else "as before it was drained"
        return f"availability {wanted}"


@dataclass(frozen=True)
class Remove(Action):
    """Takes a node out of the swarm: its certificate is void."""

    kind: ClassVar[Kind | None] = Kind.REMOVE
    says: ClassVar[str] = "remove the node from the swarm"


@dataclass(frozen=True)
class Leave(Action):
    """Lets a host forget the swarm that it is no node of any more."""

    kind: ClassVar[Kind | None] = Kind.REMOVE
    says: ClassVar[str] = "leave the swarm, and stop what runs of it"


@dataclass(frozen=True)
class Uninstall(Action):
    """Takes from the host all that was installed."""

    kind: ClassVar[Kind | None] = Kind.REMOVE
    says: ClassVar[str] = "uninstall all that was brought there"


@dataclass(frozen=True)
class Run(Action):
    """Runs a hook: a command of the operator's, by a shell on the host.

    `is_after`: it gives back what another one took before the work, or tells that it is done.
    """

    command: str = ""
    is_after: bool = False

    kind: ClassVar[Kind | None] = Kind.RESTART

    @property
    def text(self) -> str:
        """With the beginning of the command."""
        shown = " ".join(self.command.split())
        return f"run {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + '...'}"


def is_hook_after(action: Action) -> bool:
    """Whether it is a hook that is run after the work."""
    return isinstance(action, Run) and action.is_after


@dataclass(frozen=True)
class Revert(Action):
    """Goes back to the version that ran before an upgrade, if the host has left that already."""

    version: str = ""

    says: ClassVar[str] = "go back to the version before"


@dataclass(frozen=True)
class AwaitQuorum(Action):
    """Waits until the managers can do without this one; `goes`: for ever."""

    goes: bool = False

    kind: ClassVar[Kind | None] = None
    says: ClassVar[str] = "wait until the managers can do without it"


@dataclass(frozen=True)
class AwaitReady(Action):
    """Waits until the managers see the node as ready, and as a manager if it is one.

    `version`: which one its daemon has to run; with one, its tasks have to run as well.
    """

    version: str = ""

    kind: ClassVar[Kind | None] = None

    @property
    def text(self) -> str:
        """With what it is to be."""
        return f"wait until it is ready {self.version and f'with {self.version}'}".rstrip()


@dataclass(frozen=True)
class Lane:
    """What is done with one host, in order. `undo`: what is done if an action of it fails."""

    host: str
    actions: tuple[Action, ...]
    undo: tuple[Action, ...] = ()


@dataclass(frozen=True)
class Phase:
    """Lanes of one kind.

    `together`: how many run at a time, 0: as many as the user allows. `stops`: a lane that fails
    ends the whole run, else only itself. `needs_all`: it is begun only if nothing failed before.
    `leader_last`: the manager that leads comes after the others; so it hands over once.
    """

    title: str
    lanes: tuple[Lane, ...]
    together: int = 1
    stops: bool = True
    needs_all: bool = False
    leader_last: bool = False


@dataclass(frozen=True)
class Plan:
    """`refusals`: why nothing is done at all; `notes`: what is left as it is."""

    phases: tuple[Phase, ...] = ()
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether all is as wanted."""
        return not self.phases

    def actions(self) -> Iterator[Action]:
        """Every action, in the order of the plan."""
        for phase in self.phases:
            for lane in phase.lanes:
                yield from lane.actions
