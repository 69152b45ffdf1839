"""What a look at a service begins with, and what is kept of it for the next look at some slots.

Where the slots of a service depend on each other, how all of them stand is kept in memory after a
look at all: while a rollout is under way, or slots are on the move. It is good for as long as the
service itself stays as it is. Nothing of it is state: without it, all slots are looked at.
"""

from collections.abc import Callable

from api.ids import IdSource
from api.v1 import objects_pb2
from manager.orchestrator.drain import Moves
from manager.orchestrator.modes import hang_together
from manager.orchestrator.restart import Scene
from manager.orchestrator.rollback import UNDER_WAY
from manager.orchestrator.slots import Slot, slots_of
from manager.orchestrator.tasks import Fates
from manager.state.indexes import SlotKey
from manager.state.store import View


class Scenes:
    """Makes scenes, and keeps those of services whose slots depend on each other now."""

    def __init__(self, ids: IdSource, waited_since: Callable[[], float]) -> None:
        self._ids = ids
        self._waited_since = waited_since
        self._kept: dict[str, Scene] = {}

    def of_all(self, view: View, service: objects_pb2.Service, now: float) -> Scene:
        """For a look at all slots."""
        fates = Fates(view)

        def slot(key: SlotKey) -> Slot:
            found = slots_of(view.tasks_of_slot(service.id, key))
            return found.get(key) or Slot(key)

        return Scene(
            service,
            fates,
            self._ids,
            now,
            Moves(service, fates),
            slot,
            waited_since=self._waited_since(),
        )

    def of_some(self, view: View, service: objects_pb2.Service, now: float) -> Scene | None:
        """For a look at some slots; None if the others have to be looked at too.

        One with a `rollout` is for a look at all the slots that have changed.
        """
        if hang_together(service):
            return None
        scene, kept = self.of_all(view, service, now), self._kept.get(service.id)
        if kept is None:
            return None if service.update_status.state in UNDER_WAY else scene
        are_moving = kept.moves is not None and kept.moves.are_under_way
        if kept.service is not service or are_moving:
            return None
        scene.rollout = kept.rollout
        if scene.rollout is not None:
            scene.rollout.turn_to(scene)
        self._kept[service.id] = scene
        return scene

    def keep(self, scene: Scene) -> None:
        """After a look at all slots."""
        is_rolling = scene.rollout is not None and scene.rollout.is_under_way
        if is_rolling or (scene.moves is not None and scene.moves.are_under_way):
            self._kept[scene.service.id] = scene
        else:
            self.forget(scene.service.id)

    def forget(self, service_id: str) -> None:
        """The service has changed, or is gone."""
        self._kept.pop(service_id, None)
