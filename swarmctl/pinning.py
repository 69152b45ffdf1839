"""Asks registries for managers, which know none themselves: what an image's name means just now."""

import asyncio
from dataclasses import replace

from api.v1 import specs_pb2, types_pb2
from hostkit.clock import Clock
from runtime.image.auth import parse_registry_auth
from runtime.image.identify import identify
from runtime.image.reference import parse
from runtime.image.registry import Registry, RegistryOptions

_AT_ONCE = 4
"""Questions under way; more wait, and their callers not for long (manager/control/images.py)."""
_RETRY_DELAY = 0.05
"""Seconds: somebody waits for the answer, and can do without it."""


class Pinning:
    """Of one host: with its list of insecure registries and its CAs."""

    def __init__(self, options: RegistryOptions, clock: Clock) -> None:
        self._options = replace(options, retry_delay=_RETRY_DELAY)
        self._clock = clock
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, image: str, registry_auth: str) -> specs_pb2.PinnedImage:
        """The image with its digest and its platforms; SwarmError if the registry does not tell."""
        name, user = parse(image), parse_registry_auth(registry_auth)
        async with self._gate:
            registry = Registry(name, self._options, credentials=user, clock=self._clock)
            async with registry:
                found = await identify(registry, name)
        return specs_pb2.PinnedImage(
            reference=found.reference,
            platforms=[
                types_pb2.Platform(os=each.os, architecture=each.architecture)
                for each in found.platforms
            ],
        )
