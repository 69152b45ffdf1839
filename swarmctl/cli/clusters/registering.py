"""Hosts of a cluster file as machines of the operator's store, so that `machine ssh`, `env` and the
others know them. The same record as `machine create` makes.
"""

from dataclasses import replace

from api.address import join_address
from api.errors import Code, SwarmError
from api.host_api import PORT
from machine import inventory
from machine.making import is_left_alone
from machine.store.machine import Machine, Phase, Wish
from machine.store.store import Store
from machine.swarm.seen import Seen
from machine.swarm.wanted import HostWanted

DRIVER = "generic"
_STEP = "apply"
"""The step of work on a whole cluster."""


def register(store: Store, host: HostWanted, version: str) -> Machine:
    """Records the host, which is held already, and what is wanted of it. EXISTS if another machine
    is called so. The API of one that was adopted does not become ours.
    """
    target = host.target
    if store.has(host.name):
        machine = store.get(host.name)
        if machine.target.host != target.host:
            raise SwarmError(
                Code.EXISTS,
                f"there is another machine {host.name} in your store",
                why=f"it is at {machine.target.host}, and the file says {target.host}",
                remedy=f"rename the host in the file, or swarmctl machine rm {host.name}",
            )
    else:
        options = {
            "ip-address": target.host,
            "ssh-user": target.user,
            "ssh-port": target.port,
            "ssh-jump": list(target.jump),
            "ssh-host-key": target.host_key,
            "ssh-no-agent": not target.agent,
        }
        machine = inventory.record(store, host.name, DRIVER, options)
    machine = replace(
        inventory.reached(store, machine, target),
        wish=Wish(version, dict(host.swarmd), hostname=host.hostname),
        api="" if is_left_alone(machine) else machine.api or join_address(target.host, PORT),
    )
    store.save(machine)
    return machine


def ready(store: Store, name: str, version: str) -> None:
    """Notes that the host is as wanted."""
    if store.has(name):
        store.save(store.get(name).ready(version, store.now()))


def settle(store: Store, seen: Seen) -> None:
    """Corrects records of work that was cut off or failed, where the host turns out to be as it is
    to be all the same.
    """
    for name, host in seen.hosts.items():
        if host.has_daemon and not host.changes and store.has(name):
            machine = store.get(name)
            if machine.phase is not Phase.READY:
                store.save(machine.ready(host.version, store.now()))


def cut_off(store: Store, name: str) -> None:
    """Notes that an installation was begun there, and nobody saw its end."""
    if store.has(name):
        store.save(store.get(name).at(_STEP, store.now()))


def failed(store: Store, name: str, step: str, error: SwarmError) -> None:
    """Notes where it stopped."""
    if store.has(name):
        machine = store.get(name).at(step, store.now())
        store.save(machine.failed(error, store.now()))


def forget(store: Store, name: str) -> None:
    """Takes out a host that nothing of ours is left on."""
    if store.has(name):
        inventory.forget(store, name)
