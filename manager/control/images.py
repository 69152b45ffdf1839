"""What a service's image is pulled as, and by whom: the pin and the login of its registry.

The name that the user gave stays in the spec. Beside it is what it meant when a manager asked, so
that every node runs the same; and beside the spec, never in it, are the credentials: no task, no
former spec and no answer holds them, and other ones make no task outdated (moby#36045).

Never refuses a service because a registry is away: what was not had is a warning, as in Docker.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.errors import Code, SwarmError, invalid
from api.image_name import domain_of
from api.v1 import objects_pb2, specs_pb2
from manager.state.changes import copy
from runtime.image.auth import parse_registry_auth

LIMIT = 5.0
"""Seconds that a registry has to answer; the caller waits meanwhile."""
MAX_AUTH = 16 << 10
"""Bytes of credentials: tokens that serve as passwords have some thousands."""
_FIELD = "task.container.registry_auth"


class AskRegistry(Protocol):
    """How a manager learns what an image's name means; swarmctl/pinning.py is one."""

    async def __call__(self, image: str, registry_auth: str) -> specs_pb2.PinnedImage:
        """SwarmError if the registry does not tell."""


async def no_registry(image: str, registry_auth: str) -> specs_pb2.PinnedImage:
    """The AskRegistry of a manager that has none to ask."""
    raise SwarmError(Code.UNAVAILABLE, "this manager asks no registry")


def check_login(spec: specs_pb2.ContainerSpec) -> None:
    """Refuses credentials that no node could use: INVALID."""
    if len(spec.registry_auth) > MAX_AUTH:
        raise invalid(_FIELD, f"the credentials have more than {MAX_AUTH} characters")
    try:
        parse_registry_auth(spec.registry_auth)
    except SwarmError as error:
        raise invalid(_FIELD, error.what, why=error.why) from error


@dataclass(frozen=True, slots=True)
class Settled:
    """A spec as it is stored; the service's logins by registry; what the caller is to be told."""

    spec: specs_pb2.ServiceSpec
    logins: Mapping[str, str]
    warnings: Sequence[str] = ()


async def settled(
    given: specs_pb2.ServiceSpec,
    before: objects_pb2.Service | None,
    ask: AskRegistry,
    *,
    resolve: bool,
) -> Settled:
    """What becomes of a spec that was asked for: its login apart, its image pinned.

    `before`: the service as it is in the store. A pin is kept until the image has another name, or
    a registry was asked anew (`resolve`) and has answered.
    """
    spec = specs_pb2.ServiceSpec()
    spec.CopyFrom(given)
    container = spec.task.container
    logins = _logins(container, before)
    container.ClearField("registry_auth")
    container.ClearField("pinned_image")
    if before is not None and before.spec.task.container.image == container.image:
        _keep_pin(container, before.spec.task.container)
    if not resolve:
        return Settled(spec, logins)
    login = logins.get(domain_of(container.image), "")
    try:
        async with asyncio.timeout(LIMIT):
            container.pinned_image.CopyFrom(await ask(container.image, login))
    except (SwarmError, TimeoutError) as error:
        return Settled(spec, logins, _warnings(container, error))
    return Settled(spec, logins)


def without_logins(service: objects_pb2.Service) -> objects_pb2.Service:
    """What anybody may see who may see the service: itself, or a copy without its logins."""
    if not service.registry_logins:
        return service
    shown = copy(service)
    shown.ClearField("registry_logins")
    return shown


def _keep_pin(container: specs_pb2.ContainerSpec, present: specs_pb2.ContainerSpec) -> None:
    if present.HasField("pinned_image"):
        container.pinned_image.CopyFrom(present.pinned_image)


def _logins(
    container: specs_pb2.ContainerSpec, before: objects_pb2.Service | None
) -> Mapping[str, str]:
    """Each is told to its own registry alone; that of the present spec may be gone back to."""
    registry = domain_of(container.image)
    logins = {} if before is None else dict(before.registry_logins)
    needed = {registry}
    if before is not None:
        needed.add(domain_of(before.spec.task.container.image))
    if container.registry_auth:
        logins[registry] = container.registry_auth
    return {name: login for name, login in logins.items() if name in needed}


def _warnings(container: specs_pb2.ContainerSpec, error: SwarmError | TimeoutError) -> list[str]:
    image = container.image
    if "@" in image:  # it needs no registry to mean the same everywhere
        return []
    why = f"no answer within {LIMIT:g} s"
    if isinstance(error, SwarmError):
        why = f"{error.what}: {error.why}" if error.why else error.what
    if container.HasField("pinned_image"):
        kept = container.pinned_image.reference
        return [f"image {image} could not be accessed on a registry, so it stays {kept} ({why})"]
    return [
        f"image {image} could not be accessed on a registry to record its digest. Each node will "
        f"access {image} independently, possibly leading to different nodes running different "
        f"versions of the image ({why})."
    ]
