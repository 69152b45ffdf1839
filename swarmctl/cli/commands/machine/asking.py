"""What SSH wants to know of the operator, asked on his terminal; and how a machine is reached.

Never on a command line, which every process of this host can read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from machine.inventory import circumstances, entered
from machine.local import LocalRemote
from machine.remote import Remote
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import HostKey
from machine.ssh.keys import Keyring
from machine.ssh.prompt import AtTerminal
from machine.ssh.proving import Pinned
from machine.ssh.remote import SshRemote
from machine.store.machine import Machine
from machine.store.store import Store


def tell_pinned(key: HostKey) -> None:
    """Says which host key is trusted from now on."""
    click.echo(f"{key.name}: trusting its key {key.fingerprint} from now on", err=True)


def keyring() -> Keyring:
    """The operator's keys, for all machines of one command."""
    return Keyring(AtTerminal())


def tell_new(key: HostKey) -> None:
    """Says which host key would be trusted, where nothing is kept."""
    click.echo(f"{key.name}: its key {key.fingerprint} would be trusted from now on", err=True)


def around(
    store: Store, machine: Machine, keys: Keyring, pinned: Pinned = tell_pinned
) -> Circumstances:
    """What SSH to a machine has of this operator."""
    return circumstances(store, machine, keys, pinned)


@asynccontextmanager
async def remote_of(
    store: Store, machine: Machine, keys: Keyring, pinned: Pinned = tell_pinned
) -> AsyncIterator[Remote]:
    """The way to the machine, for as long as that lasts. Errors as of SshRemote.connect."""
    remote: Remote
    if machine.is_entered:
        remote = LocalRemote(machine.name, entered(store, machine).entering)
    else:
        way = around(store, machine, keys, pinned)
        remote = await SshRemote.connect(machine.name, machine.target, way)
    try:
        yield remote
    finally:
        await remote.close()
