"""Machines of the store and the drivers that made them: how one comes in, and what acts on it.

What is installed on a host is not known here (machine.provisioning), nor what a swarm is.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.address import join_address
from api.errors import Code, SwarmError, invalid
from api.host_api import PORT
from machine.driver import DriverKind, EnteredHost, MachineDriver, MachineHost, Option
from machine.drivers.registry import kind
from machine.ssh.config import hops_of
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.proving import Pinned
from machine.store.machine import UNIX, Machine, Wish, check_name
from machine.store.store import Store
from machine.target import Target

CREATE = "create"
"""The step at which the driver makes the host; those of the installation follow."""


def add(
    store: Store, name: str, driver: str, options: Mapping[str, Any], wish: Wish | None = None
) -> Machine:
    """Records a new machine before anything of it is made. Its keys are copied into the store.

    EXISTS if there is one of that name; INVALID if the driver refuses the options.
    """
    with store.locked(name, "recording it"):
        return record(store, name, driver, options, wish)


def record(
    store: Store, name: str, driver: str, options: Mapping[str, Any], wish: Wish | None = None
) -> Machine:
    """As `add`, for whoever holds the machine already."""
    if store.has(check_name(name)):
        raise SwarmError(
            Code.EXISTS,
            f"there is a machine {name} already",
            remedy=f"go on with it: swarmctl machine provision {name}; "
            f"or clean up: swarmctl machine rm {name}",
        )
    chosen = kind(driver)
    checked = complete(chosen, options)
    chosen.driver(checked, store.folder(name))
    kept = {each.name: _kept(store, name, each, checked[each.name]) for each in chosen.options}
    now = store.now()
    machine = Machine(
        name=name,
        target=Target(""),
        driver=driver,
        options=kept,
        wish=wish or Wish(),
        created=now,
        changed=now,
    )
    store.save(machine)
    return machine


async def make(store: Store, machine: Machine) -> Machine:
    """Lets the driver make the host, or find it, and records how it is reached.

    Again, after a failure: it goes on. Whatever fails is in the record, too.
    """
    machine = machine.at(CREATE, store.now())
    store.save(machine)
    try:
        host = await driver_of(store, machine).create(machine.name)
        target = await host.target()
    except SwarmError as error:
        store.save(machine.failed(error, store.now()))
        raise
    machine = reached(store, machine, target)
    if isinstance(host, EnteredHost):
        machine = replace(machine, api=f"{UNIX}{host.socket}")
    else:
        machine = with_api(machine, host.address or target.host)
    store.save(machine)
    return machine


def with_api(machine: Machine, address: str) -> Machine:
    """The machine with an API of its own at that address, unless it has one already."""
    if machine.api or not address:
        return machine
    port = int(machine.options.get("engine-port", PORT))
    return replace(machine, api=join_address(address, port))


def reached(store: Store, machine: Machine, target: Target) -> Machine:
    """The machine with another way to it; its key is in the store. Saves nothing else."""
    key, folder = target.key, store.folder(machine.name)
    if key and Path(key).is_absolute():
        inside = Path(key).is_relative_to(folder)
        key = (
            str(Path(key).relative_to(folder))
            if inside
            else store.keep_key(machine.name, Path(key))
        )
    return replace(machine, target=replace(target, key=key))


def driver_of(store: Store, machine: Machine) -> MachineDriver:
    """What made the machine, or found it."""
    return kind(machine.driver).driver(machine.options, store.folder(machine.name))


def host_of(store: Store, machine: Machine) -> MachineHost:
    """The machine's power switch."""
    return driver_of(store, machine).host(machine.name)


def entered(store: Store, machine: Machine) -> EnteredHost:
    """A machine that is entered from here; INVALID if its driver makes no such host."""
    host = host_of(store, machine)
    if not isinstance(host, EnteredHost):
        raise invalid(
            "driver",
            f"{machine.name} cannot be entered",
            why=f"its record has a socket, and hosts of driver {machine.driver} have none",
        )
    return host


def circumstances(
    store: Store, machine: Machine, keyring: Keyring, pinned: Pinned = lambda _: None
) -> Circumstances:
    """What SSH to this machine has of the store: its keys, and the hosts' that were pinned.

    With it: `SshRemote.connect(machine.name, machine.target, circumstances(...))`.
    """
    return Circumstances(KnownHosts(store.known_hosts), keyring, pinned, store.folder(machine.name))


def forget(store: Store, name: str) -> None:
    """Forgets a machine, with the host key that was pinned for it unless another one is there too.

    One of its name that is made anew has another key, and nobody is surprised by it.
    """
    known = _known_as(store, name)
    others = (each for each in store.names() if each != name)
    if known and known not in (_known_as(store, each) for each in others):
        KnownHosts(store.known_hosts).forget(known)
    store.remove(name)


def _known_as(store: Store, name: str) -> str:
    """A machine's name among pinned keys; "" if it has none, or nobody can say how one gets there:
    its record cannot be read, or ~/.ssh/config leads nowhere.
    """
    try:
        machine = store.get(name)
        if machine.is_entered or not machine.target.host:
            return ""
        return hops_of(machine.target)[-1].known_as
    except SwarmError:
        return ""


def complete(chosen: DriverKind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with all that was not said; INVALID if one is unknown, missing or no good."""
    known = {each.name: each for each in chosen.options}
    for name in options:
        if name not in known:
            raise invalid(
                f"{chosen.name}-{name}",
                f"driver {chosen.name} has no option {name}",
                why=f"it has: {', '.join(sorted(known))}",
            )
    return {name: _value(chosen, each, options.get(name)) for name, each in known.items()}


def _value(chosen: DriverKind, option: Option, given: Any) -> Any:  # noqa: ANN401 - of its kind
    if given in (None, ()):
        if option.required:
            raise invalid(
                f"{chosen.name}-{option.name}",
                f"driver {chosen.name} needs --{chosen.name}-{option.name}",
                why=option.help,
            )
        return [] if option.multiple else option.default
    values = list(given) if option.multiple else [given]
    if not all(type(each) is option.kind for each in values):
        raise invalid(
            f"{chosen.name}-{option.name}",
            f"{given!r} is no {option.kind.__name__} for this option",
        )
    if option.is_path:
        values = [str(Path(each).expanduser().absolute()) for each in values]
    return values if option.multiple else values[0]


def _kept(store: Store, name: str, option: Option, value: Any) -> Any:  # noqa: ANN401
    return store.keep_key(name, Path(value)) if option.is_key and value else value
