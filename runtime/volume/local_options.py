"""The options of the driver local, which are Docker's: type, device, o. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.errors import invalid

_KEYS = ("type", "device", "o")
_BINDS = ("", "none", "bind")


@dataclass(frozen=True, slots=True)
class Plain:
    """A folder of the host's, with nothing mounted on it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A folder or file of the host, or what `mount` makes of it.

    `kind`: the file system, empty for a bind mount.
    """

    kind: str
    device: str
    options: Sequence[str]

    @property
    def words(self) -> list[str]:
        """What `mount` is to be told, but for the target."""
        if not self.kind:
            others = [each for each in self.options if each not in ("bind", "rbind")]
            how = "--rbind" if "rbind" in self.options else "--bind"
            return [how, *_with(others), "--", self.device]
        return ["-i", "-t", self.kind, *_with(self.options), "--", self.device]


def parse(options: Mapping[str, str]) -> Plain | Bound:
    """What a volume is to be; INVALID."""
    for key in options:
        if key not in _KEYS:
            raise invalid(
                "driver_options",
                f"driver local has no option {key!r}",
                remedy="it knows type, device and o, as mount does",
            )
    kind, device = options.get("type", ""), options.get("device", "")
    given = [each for each in options.get("o", "").split(",") if each]
    if not any(options.values()):
        return Plain()
    if not device:
        raise invalid("driver_options", "option device is missing", remedy="say what to mount")
    if kind in _BINDS:
        if "bind" not in given and "rbind" not in given and kind != "bind":
            raise invalid(
                "driver_options", "type is missing", remedy="say type=tmpfs, or o=bind for a folder"
            )
        if not device.startswith("/"):
            raise invalid("driver_options", f"device {device!r} is no absolute path")
        return Bound("", device, given)
    if kind.startswith("nfs") and not any(each.startswith("addr=") for each in given):
        raise invalid("driver_options", "the server is missing", remedy="say o=addr=HOST,...")
    return Bound(kind, device, given)


def _with(options: Sequence[str]) -> list[str]:
    return ["-o", ",".join(options)] if options else []
