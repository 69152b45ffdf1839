"""How a machine is, asked of the machine itself within a limit: its API first, then its driver."""

import asyncio
from dataclasses import dataclass, replace

from api.errors import SwarmError
from api.v1 import host_pb2, types_pb2
from machine.certs.host_papers import client_folder, is_borrowed, server_certificate_of
from machine.certs.renewal import warning
from machine.inventory import circumstances, host_of
from machine.ssh.config import dialled
from machine.ssh.keys import Keyring
from machine.ssh.questions import NoAnswers
from machine.ssh.remote import SshRemote
from machine.steps.settings import folders
from machine.steps.state import told
from machine.store.machine import Machine, Phase
from machine.store.store import Store
from swarmctl.cli.client import Client
from swarmctl.cli.commands.machine.names import url_of

UNREACHABLE = "Unreachable"


@dataclass(frozen=True)
class Look:
    """What was seen. `errors`: in the words of people, empty if all is well."""

    state: str = UNREACHABLE  # else Running, Paused or Stopped
    swarm: str = ""  # the role: manager or worker
    version: str = ""
    errors: tuple[str, ...] = ()


async def look(store: Store, machine: Machine, timeout: float) -> Look:
    """Asks, for `timeout` seconds at most; whatever fails is in the answer."""
    wrong = [*_of_record(store, machine), *_of_certificates(store, machine)]
    try:
        info = await asyncio.to_thread(ask, store, machine, timeout)
    except SwarmError as error:
        if _has_no_way(machine) and (seen := await _look_over_ssh(store, machine, timeout)):
            return replace(seen, errors=(*wrong, *seen.errors))
        state = await _state(store, machine, timeout)
        if machine.phase is Phase.READY:
            wrong.append(error.why or error.what)
        return Look(state, errors=tuple(wrong))
    trouble = [info.swarm.error] if info.swarm.error else []
    return Look("Running", _role(info.swarm), info.version, (*wrong, *trouble))


async def running_version(store: Store, machine: Machine, timeout: float) -> str:
    """The version of swarmd that runs there; raises what asking its API does if nobody tells."""
    try:
        return (await asyncio.to_thread(ask, store, machine, timeout)).version
    except SwarmError:
        seen = await _look_over_ssh(store, machine, timeout) if _has_no_way(machine) else None
        if seen is None or not seen.version:
            raise
        return seen.version


def ask(store: Store, machine: Machine, timeout: float) -> host_pb2.InfoResponse:
    """What the daemon there says of its host. Blocks."""
    url = url_of(machine)
    folder = "" if machine.is_entered else str(client_folder(store, machine))
    client = Client(host=url, cert_path=folder, timeout=timeout, retry=False)
    try:
        return client.call(client.host.Info, host_pb2.InfoRequest(), f"asking {machine.name}")
    finally:
        client.close()


def _has_no_way(machine: Machine) -> bool:
    """Whether its API may be out of reach, or is not ours, though all is well: behind other hosts,
    or adopted and left as it is.
    """
    if not machine.api:
        return machine.phase is Phase.READY
    try:
        return bool(machine.target.host) and dialled(machine.target) is None
    except SwarmError:
        return False  # whoever goes there is told what is wrong with ~/.ssh/config


async def _look_over_ssh(store: Store, machine: Machine, timeout: float) -> Look | None:
    """Of a machine whose API may be out of reach. Asks the operator nothing."""
    around = circumstances(store, machine, Keyring(NoAnswers()))
    try:
        async with asyncio.timeout(timeout):
            remote = await SshRemote.connect(machine.name, machine.target, around)
            try:
                info = await told(remote, folders(machine.wish.settings).socket)
            finally:
                await remote.close()
    except (SwarmError, TimeoutError):
        return None
    if info is None:
        return Look("Running", errors=("its daemon does not answer",))
    swarm = info.get("Swarm") or {}
    state = str(swarm.get("State", "inactive"))
    role = str(swarm.get("Role", "worker"))
    words = {"inactive": "", "active": role}.get(state, f"{role} ({state})")
    return Look("Running", words, str(info.get("Version", "")))


def _of_record(store: Store, machine: Machine) -> list[str]:
    if holder := store.holder(machine.name):
        return [holder]
    if machine.phase is Phase.FAILED:
        return [f"failed at {machine.step}: {machine.error}"]
    if machine.phase is Phase.CHANGING:
        return [f"cut off at {machine.step}"]
    return ["not provisioned yet"] if machine.phase is Phase.NEW else []


def _of_certificates(store: Store, machine: Machine) -> list[str]:
    """Of the machine's, and of the operator's where somebody else has to renew it."""
    shown = server_certificate_of(store, machine)
    mine = client_folder(store, machine) / "cert.pem" if is_borrowed(store, machine) else None
    renewed = f"make another: swarmctl machine regenerate-certs --force {machine.name}"
    given = "ask whoever shared the machine for another"
    found = [
        _warning(shown, store.now(), renewed) if shown else "",
        _warning(mine.read_bytes(), store.now(), given).replace("certificate", "your certificate")
        if mine
        else "",
    ]
    return [words for words in found if words]


def _warning(certificate_pem: bytes, now: float, remedy: str) -> str:
    try:
        return warning(certificate_pem, now)
    except SwarmError:
        return f"certificate is damaged in the store: {remedy}"


async def _state(store: Store, machine: Machine, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout):
            return (await host_of(store, machine).state()).value.capitalize()
    except (SwarmError, TimeoutError):
        return UNREACHABLE


def _role(swarm: host_pb2.SwarmInfo) -> str:
    if swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE:
        return ""
    role = "manager" if swarm.role == types_pb2.NODE_ROLE_MANAGER else "worker"
    words = {
        host_pb2.SwarmInfo.STATE_PENDING: f"{role} (pending)",
        host_pb2.SwarmInfo.STATE_LOCKED: f"{role} (locked)",
    }
    return words.get(swarm.state, role)
