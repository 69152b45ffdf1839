"""What a service needs, by its mode. Pure."""

from collections.abc import Iterator

from api.v1 import objects_pb2
from manager.orchestrator.everywhere import fill_every_node
from manager.orchestrator.jobs import run_on_every_node, run_to_completion
from manager.orchestrator.places import Matches, Places
from manager.orchestrator.replicated import fill_slots
from manager.orchestrator.restart import Scene, Steps
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
