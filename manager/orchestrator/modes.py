"""What a service needs, by its mode. Pure."""

from collections.abc import Iterator

from api.v1 import objects_pb2
from manager.orchestrator.everywhere import fill_every_node
from manager.orchestrator.jobs import run_on_every_node, run_to_completion
from manager.orchestrator.places import Matches, Places
from manager.orchestrator.replicated import fill_slots, keep_slots
from manager.orchestrator.restart import Scene, Steps
from manager.orchestrator.rollback import UNDER_WAY
from manager.orchestrator.slots import slots_of
from manager.state.indexes import SlotKey
from manager.state.store import View


class Modes:
    """The modes, in sight of the nodes. Good for one decision."""

    def __init__(self, view: View, matches: Matches) -> None:
        self._places = Places(view, matches)

    def steps(self, tasks: list[objects_pb2.Task], scene: Scene) -> Iterator[Steps]:
        """What brings the service to what it asks for; `tasks`: all of it, oldest first."""
        match scene.service.spec.WhichOneof("mode"):
            case "replicated":
                return fill_slots(tasks, scene)
            case "global":
                return fill_every_node(tasks, scene, self._places.of(scene.service))
            case "replicated_job":
                return run_to_completion(tasks, scene)
            case "global_job":
                return run_on_every_node(tasks, scene, self._places.of(scene.service))
        return iter(())  # a mode that only a newer version knows

    def steps_of_slot(
        self, key: SlotKey, tasks: list[objects_pb2.Task], scene: Scene, *, was_left: bool
    ) -> Iterator[Steps] | None:
        """What one slot needs, from its tasks, oldest first; None if only a look at all tells.

        `was_left`: a task that filled the slot does so no more. Not for services whose slots hang
        together.
        """
        slot = slots_of(tasks).get(key)
        if slot is not None and scene.moves is not None and scene.moves.may_concern(slot):
            return None
        places = self._places
        match scene.service.spec.WhichOneof("mode"):
            case "replicated":
                is_filled = slot is not None and slot.is_filled
                if slot is None or not is_filled:
                    return None if was_left else iter(())
                return keep_slots([slot], scene)
            case "global":
                return fill_every_node(tasks, scene, places.at(scene.service, str(key)))
            case "global_job":
                return run_on_every_node(tasks, scene, places.at(scene.service, str(key)))
        return iter(())


def hangs_together(service: objects_pb2.Service) -> bool:
    """Whether what a slot of the service needs depends on how the others stand.

    So it is while a rollout is under way, and in a job that has so many tasks at once.
    """
    if service.spec.WhichOneof("mode") == "replicated_job":
        return True
    return service.update_status.state in UNDER_WAY
