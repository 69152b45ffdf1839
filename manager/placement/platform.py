"""Whether a node's platform is one of those that a task's image was built for. Pure."""

from collections.abc import Iterable, Sequence

from api.v1 import specs_pb2, types_pb2

_ALIASES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's names for what OCI images call otherwise."""


def normalized(architecture: str) -> str:
    """The architecture as OCI names it."""
    folded = architecture.lower()
    return _ALIASES.get(folded, folded)


def platforms_for(spec: specs_pb2.TaskSpec) -> Sequence[types_pb2.Platform]:
    """The platforms that may run the task: those that the user named, else its pinned image's."""
    return spec.placement.platforms or spec.container.pinned_image.platforms


def fits(wanted: Iterable[types_pb2.Platform], offered: types_pb2.Platform) -> bool:
    """Whether `offered` is among the wanted platforms; an empty field of a wanted one means any.

    Nothing wanted means that everything fits.
    """
    none_wanted = True
    for each in wanted:
        none_wanted = False
        same_os = not each.os or each.os.lower() == offered.os.lower()
        same_architecture = not each.architecture or (
            normalized(each.architecture) == normalized(offered.architecture)
        )
        if same_os and same_architecture:
            return True
    return none_wanted
