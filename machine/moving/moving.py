"""Machines out of a store and into one: to another workstation of the same operator, or to a
colleague, who gets a certificate of his own and no key of anybody else.
"""

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from api.certificates import is_issued_by
from api.errors import Code, SwarmError
from api.identity import Credentials
from machine.certs.host_papers import is_borrowed, refuse_borrowed, refuse_entered
from machine.certs.operator_ca import PATIENCE, OperatorCa, write_papers
from machine.drivers.registry import kind
from machine.moving.cargo import Cargo, Contents
from machine.ssh.config import hops_of
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.route import Hop, Lookup, chained
from machine.store import files
from machine.store.lock import user
from machine.store.machine import Machine
from machine.store.schema import decoded, encoded
from machine.store.store import Store

_RECORD = "machine.json"
_CA, _CLIENT, _SERVER = "ca", "client", "server"
AUTHORITY = "ca/authority.pem"


def exported(
    store: Store, names: Sequence[str], *, authority: bool = False, lookup: Lookup | None = None
) -> Cargo:
    """Machines with their keys, for another workstation of the operator.

    `authority`: with it, so that certificates can be made there; then nobody else may get the file.
    """
    machines = _movable(store, names)
    left = () if authority else (_SERVER,)
    folders = {each.name: _files(store.folder(each.name), but=left) for each in machines}
    known = _known_hosts(store, machines, lookup)
    ours = [each for each in machines if not is_borrowed(store, each)]
    client = OperatorCa(store).issue(user()) if ours and not authority else None
    return Cargo(
        sender=_sender(),
        machines={
            each.name: folders[each.name] | {_RECORD: encoded(_explained(each, lookup))}
            for each in machines
        },
        known_hosts=known,
        client=client,
        authority=_authority(store) if authority else {},
    )


def shared(
    store: Store, names: Sequence[str], person: str, *, lookup: Lookup | None = None
) -> Cargo:
    """Machines for a colleague: how they are reached, and a certificate for him alone.

    REFUSED for machines that are a colleague's themselves. No private key of ours goes along: he
    goes there by SSH with his own, which the hosts have to know.
    """
    machines = _movable(store, names)
    for each in machines:
        refuse_borrowed(store, each)
    return Cargo(
        sender=_sender(),
        machines={each.name: {_RECORD: encoded(_for_others(each, lookup))} for each in machines},
        known_hosts=_known_hosts(store, machines, lookup),
        client=OperatorCa(store).issue(person),
    )


def movable(store: Store) -> tuple[str, ...]:
    """All machines that can be used from elsewhere."""
    return tuple(name for name in store.names() if not store.get(name).is_entered)


def take_in(store: Store, cargo: Cargo) -> list[str]:
    """Puts the machines into the store, and returns their names.

    EXISTS, before anything is written, if there is a machine of such a name, or another authority
    than one that comes along; REFUSED if another key of a host is pinned here.
    """
    records = {name: _record(store, name, contents) for name, contents in cargo.machines.items()}
    known = KnownHosts(store.known_hosts)
    for key in cargo.known_hosts:
        _check_pinned(known, key)
    if cargo.authority:
        _take_authority(store, cargo.authority)
    for key in cargo.known_hosts:
        known.pin(key)
    for name, machine in records.items():
        with store.locked(name, "importing it"):
            _refuse_present(store, name)
            _take_machine(store, machine, cargo)
    return sorted(records)


def _movable(store: Store, names: Sequence[str]) -> list[Machine]:
    machines = [store.get(name) for name in names]
    for each in machines:
        refuse_entered(each, "cannot be moved")
    return machines


def _take_machine(store: Store, machine: Machine, cargo: Cargo) -> None:
    folder, contents = store.folder(machine.name), cargo.machines[machine.name]
    for name, content in contents.items():
        if name != _RECORD and not name.startswith(f"{_CLIENT}/"):
            files.replace(folder / name, content)
    client = _client_of(contents) or cargo.client
    if client is not None and not _is_ours(store, client):
        write_papers(folder / _CLIENT, client)
    store.save(machine)  # last: until then nothing of it is listed


def _client_of(contents: Contents) -> Credentials | None:
    """The certificate for this machine alone, which somebody gave to whoever sends it."""
    parts = [contents.get(f"{_CLIENT}/{name}.pem", b"") for name in ("key", "cert", "ca")]
    return Credentials(*parts) if all(parts) else None


def _is_ours(store: Store, client: Credentials) -> bool:
    """Whether our own authority made it: then the machine is ours, and comes back."""
    return OperatorCa.exists(store) and is_issued_by(
        client.certificate_pem, OperatorCa(store).trusted_pem
    )


def _refuse_present(store: Store, name: str) -> None:
    if store.has(name):
        raise SwarmError(
            Code.EXISTS,
            f"there is a machine {name} already",
            remedy=f"remove that one first: swarmctl machine rm {name}",
        )


def _record(store: Store, name: str, contents: Contents) -> Machine:
    _refuse_present(store, name)
    if _RECORD not in contents:
        raise SwarmError(Code.INVALID, f"the record of machine {name} is not in the file")
    machine = replace(
        decoded(contents[_RECORD], f"the record of machine {name}").machine, name=name
    )
    refuse_entered(machine, "cannot be moved")
    if machine.target.key and machine.target.key not in contents:
        raise SwarmError(Code.INVALID, f"the key of machine {name} is not in the file")
    return machine


def _check_pinned(known: KnownHosts, key: HostKey) -> None:
    pinned = known.find(key.name)
    if pinned and key not in pinned:
        raise SwarmError(
            Code.REFUSED,
            f"{key.name} is known here by another key than in the file",
            why=f"here {pinned[0].fingerprint}, in the file {key.fingerprint}",
            remedy="find out which one is right before you go on",
        )


def _take_authority(store: Store, contents: Contents) -> None:
    with store.locked_whole("importing the authority", patience=PATIENCE):
        if OperatorCa.exists(store):
            if files.read(store.root / AUTHORITY) == contents.get(AUTHORITY):
                return
            raise SwarmError(
                Code.EXISTS,
                "this store has an authority of its own",
                why="two cannot be put together: machines trust the one that they were made with",
                remedy="import into an empty store (SWARM_MACHINE_STORAGE_PATH), "
                "or have the machines exported without the authority",
            )
        # What makes it one comes last.
        for name in sorted(contents, key=lambda name: name == AUTHORITY):
            if name.split("/")[0] in (_CA, _CLIENT):
                files.replace(store.root / name, contents[name])


def _authority(store: Store) -> Contents:
    OperatorCa(store).client()
    folders = {name: _files(store.root / name) for name in (_CA, _CLIENT)}
    return {f"{top}/{name}": each for top, found in folders.items() for name, each in found.items()}


def _files(folder: Path, *, but: Sequence[str] = ()) -> dict[str, bytes]:
    """All that is in a folder, by names relative to it; not what is left of cut off writes."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not path.name.startswith(".") and name.parts[0] not in but:
            found[str(name)] = files.read(path) or b""
    return found


def _explained(machine: Machine, lookup: Lookup | None) -> Machine:
    """The machine without what ~/.ssh/config of this workstation says of it.

    A ProxyCommand is a program of this workstation: what leads to one stays as it was said, for the
    ~/.ssh/config of the other one.
    """
    *jumps, last = hops = hops_of(machine.target, lookup)
    if hops[0].command:
        return machine
    return replace(
        machine,
        target=replace(
            machine.target,
            host=last.host,
            user=last.user,
            port=last.port,
            jump=tuple(map(str, jumps)),
        ),
    )


def _for_others(machine: Machine, lookup: Lookup | None) -> Machine:
    """The machine without our private key."""
    explained = _explained(machine, lookup)
    keys = {each.name for each in kind(machine.driver).options if each.is_key}
    options = {name: value for name, value in machine.options.items() if name not in keys}
    return replace(explained, options=options, target=replace(explained.target, key=""))


def _known_hosts(
    store: Store, machines: Sequence[Machine], lookup: Lookup | None
) -> tuple[HostKey, ...]:
    """The pinned keys on the way to the machines, under the names that they have elsewhere."""
    known = KnownHosts(store.known_hosts)
    ways = [hops_of(each.target, lookup) for each in machines]
    keys = [
        replace(key, name=there.known_as)
        for hops in ways
        for hop, there in zip(hops, _elsewhere(hops), strict=True)
        for key in known.find(hop.known_as)
    ]
    return tuple(dict.fromkeys(keys))


def _elsewhere(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """The same way where our ~/.ssh/config gives no other names."""
    return chained(replace(hop, alias="") for hop in hops)


def _sender() -> str:
    return f"{user()} on {socket.gethostname()}"
