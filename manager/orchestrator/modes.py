"""What a service needs, by its mode. Pure."""

from collections.abc import Container, Iterator, Mapping
from itertools import chain

from api.v1 import objects_pb2
from manager.orchestrator.everywhere import fill_every_node
from manager.orchestrator.jobs import run_on_every_node, run_to_completion
from manager.orchestrator.places import Matches, Place, Places
from manager.orchestrator.replicated import fill_slots, keep_slots
from manager.orchestrator.restart import Scene, Steps
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

    def steps_of_slots(
        self,
        tasks: Mapping[SlotKey, list[objects_pb2.Task]],
        scene: Scene,
        left: Container[SlotKey],
    ) -> Iterator[Steps] | None:
        """What some slots need, from their tasks, oldest first; None if only a look at all tells.

        `left`: slots in which a task fewer counts. Not for services whose slots hang together.
        """
        slots = slots_of(chain.from_iterable(tasks.values()))
        if scene.moves is not None and any(map(scene.moves.leaving, slots.values())):
            return None
        if scene.rollout is not None:
            for key in tasks:
                scene.rollout.drop(key)
        if scene.service.spec.WhichOneof("mode") == "replicated":
            filled = [slot for slot in slots.values() if slot.is_filled]
            emptied = any(
                key in left for key in tasks if key not in slots or not slots[key].is_filled
            )
            return None if emptied else keep_slots(filled, scene)
        places: dict[str, Place] = {}
        for key in tasks:
            places |= self._places.at(scene.service, str(key))
        all_of_them = [task for each in tasks.values() for task in each]
        match scene.service.spec.WhichOneof("mode"):
            case "global":
                return fill_every_node(all_of_them, scene, places)
            case "global_job":
                return run_on_every_node(all_of_them, scene, places)
        return iter(())


def hang_together(service: objects_pb2.Service) -> bool:
    """Whether what a slot of the service needs depends on how each of the others stands.

    So it is in a job that has so many tasks at once.
    """
    return service.spec.WhichOneof("mode") == "replicated_job"
