"""Somebody who makes volumes and removes them again, some before their driver has made them."""

import asyncio
from typing import TYPE_CHECKING

from api.errors import SwarmError
from api.v1 import control_pb2, specs_pb2
from tests.sim.raft.violation import Violation

if TYPE_CHECKING:
    from tests.sim.control.users import Users


class VolumeMaker:
    """One volume at a time, that nobody uses."""

    def __init__(self, users: "Users") -> None:
        self._users = users
        self._made = 0

    async def run(self) -> None:
        """Acts until the world ends."""
        random = self._users.world.random
        while True:
            await self._users.turn()
            self._users.busy += 1
            self._made += 1
            spec = specs_pb2.VolumeSpec(driver="shared")
            spec.annotations.name = f"volume-{self._made}"
            create = control_pb2.CreateVolumeRequest(spec=spec, request_id=self._users.request_id())
            await self._ask("CreateVolume", create)
            await asyncio.sleep(random.choice((0.0, 0.5, 5.0)))
            remove = control_pb2.RemoveRequest(
                key=spec.annotations.name, request_id=self._users.request_id()
            )
            await self._ask("RemoveVolume", remove)
            self._users.busy -= 1

    async def _ask(self, method: str, request: object) -> None:
        try:
            await self._users.ask(method, request)
        except SwarmError as error:
            raise Violation("one effect per request", f"{method} was refused: {error}") from error
