"""What would let a task have its volumes on a node that the filter refuses. Pure."""

from collections.abc import Callable, Iterator, Mapping

from api.v1 import objects_pb2, specs_pb2
from api.volumes import LOCAL, driver_of
from manager.placement.volumes import wants_of
from manager.scheduler.remedy import About, Case, Node, Obstacle, Remedy, Size
from manager.scheduler.volume_bars import Bar, Hindrance
from manager.scheduler.volumes import Volumes
from manager.state.changes import copy

Volume = objects_pb2.Volume


def volume_obstacles(case: Case) -> Iterator[Obstacle]:
    """For each volume that the node cannot give, what would help; often nothing but waiting."""
    for hindrance in case.volumes.hindrances(wants_of(case.task), case.node.node):
        find = _BY_BAR.get(hindrance.bar)
        remedy = None if find is None else find(hindrance, case)
        yield [] if remedy is None else [remedy]


def _activate(found: Hindrance, case: Case) -> Remedy:
    def change(volume: Volume) -> None:
        volume.spec.availability = specs_pb2.VolumeSpec.AVAILABILITY_ACTIVE

    name = _name(found)
    command = ("volume", "update", "--availability", "active", name)
    return Remedy(
        f"activate volume {name}",
        Size.UNPAUSE,
        command,
        About.NAMED,
        on_volumes=_on(found, change),
    )


def _force(found: Hindrance, case: Case) -> Remedy:
    """The last of all remedies: whoever writes on destroys what others write."""

    def change(volume: Volume) -> None:
        del volume.holders[:]

    name = _name(found)
    text = (
        f"wait until volume {name} is let go, or, if you are sure that its node is off, "
        "take it from that node"
    )
    command = ("volume", "force-release", name)
    return Remedy(text, Size.FORCE, command, About.NAMED, on_volumes=_on(found, change))


def _move(found: Hindrance, case: Case) -> Remedy | None:
    """None where its data is in no folder of a node's, or is moved already."""
    volume, name = found.volume, _name(found)
    is_folder = driver_of(volume.spec) == LOCAL and not volume.spec.driver_options
    if not is_folder or volume.HasField("transfer"):
        return None

    def change(moved: Volume) -> None:
        moved.home = case.node.node.id

    return Remedy(
        f"move the data of volume {name} to {case.name}",
        Size.MOVE_DATA,
        ("volume", "migrate", name),
        About.NODE,
        on_volumes=_on(found, change),
    )


def _driver(found: Hindrance, case: Case) -> Remedy:
    driver = driver_of(found.volume.spec)

    def provide(node: Node) -> None:
        node.description.volume_drivers.add(name=driver)

    text = f"give {case.name} the volume driver {driver}"
    return Remedy(text, Size.DRIVER, about=About.NODE, on_node=provide)


def _on(found: Hindrance, change: Callable[[Volume], None]) -> Callable[[Volumes], None]:
    def apply(volumes: Volumes) -> None:
        changed = copy(found.volume)
        change(changed)
        volumes.put(changed.id, changed)

    return apply


def _name(found: Hindrance) -> str:
    return found.volume.spec.annotations.name


_BY_BAR: Mapping[Bar, Callable[[Hindrance, Case], Remedy | None]] = {
    Bar.UNAVAILABLE: _activate,
    Bar.HELD: _force,
    Bar.HOME: _move,
    Bar.DRIVER: _driver,
}
