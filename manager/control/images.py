"""What a service's image is pulled as, and by whom: the pin and the login of its registry.

The name that the user gave stays in the spec. Beside it is what it meant when a manager asked, so
that every node runs the same; and beside the spec, never in it, are the credentials: no task, no
former spec and no answer holds them, and other ones make no task outdated (moby#36045).

Never refuses a service because a registry is away: what was not had is a warning, as in Docker.
"""

import asyncio
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


async def settle(
    service: objects_pb2.Service,
    before: objects_pb2.Service | None,
    ask: AskRegistry,
    *,
    resolve: bool,
) -> list[str]:
    """Takes the login out of the spec of `service`, a copy, and pins its image; warnings.

    `before`: as it is in the store. A login is kept until another comes, or the image comes from
    another registry, which must not be told it; a pin until the image has another name, or a
    registry was asked anew (`resolve`) and has answered.
    """
    container = service.spec.task.container
    _keep_login(service, before)
    same = before is not None and before.spec.task.container.image == container.image
    container.ClearField("pinned_image")
    if before is not None and same and before.spec.task.container.HasField("pinned_image"):
        container.pinned_image.CopyFrom(before.spec.task.container.pinned_image)
    if not resolve:
        return []
    try:
        async with asyncio.timeout(LIMIT):
            container.pinned_image.CopyFrom(await ask(container.image, service.registry_auth))
    except (SwarmError, TimeoutError) as error:
        return _warnings(container, error)
    return []


def without_login(service: objects_pb2.Service) -> objects_pb2.Service:
    """What anybody may see who may see the service: itself, or a copy without its login."""
    if not service.registry_auth:
        return service
    shown = copy(service)
    shown.ClearField("registry_auth")
    return shown


def _keep_login(service: objects_pb2.Service, before: objects_pb2.Service | None) -> None:
    container = service.spec.task.container
    given = container.registry_auth
    container.ClearField("registry_auth")
    if given:
        service.registry_auth = given
    elif before is not None:
        former = before.spec.task.container.image
        if domain_of(container.image) != domain_of(former):
            service.ClearField("registry_auth")


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
