"""mount(2) and umount2(2) for what the standard library leaves out, and the table of mounts.

Raises OSError as the kernel says; decides nothing about what is mounted where.
"""

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

MOUNTS = Path("/proc/self/mounts")
_OPTIONS_LIMIT = 4095  # mount(2) copies one page of options, the final zero included


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Mounts; `options` is the file system's own string, ValueError if it exceeds one page."""
    if len(options.encode()) > _OPTIONS_LIMIT:
        raise ValueError(f"mount options of {len(options)} characters exceed one page")
    done = _libc().mount(
        source.encode(),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def lower_options(lower: Sequence[Path]) -> str:
    """Options of an overlay that is only read, of two layers at least, the lowest first."""
    return "lowerdir=" + ":".join(_escaped(path, ":") for path in reversed(lower))


def overlay_options(
    lower: Sequence[Path], upper: Path, work: Path, *, volatile: bool = False
) -> str:
    """Options of an overlay; `lower` has the lowest layer first, the kernel wants it last.

    `volatile` leaves out all syncing; such an upper directory can never be mounted again.
    """
    options = f"{lower_options(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    return options + ",volatile" if volatile else options


def _escaped(path: Path, also: str = "") -> str:
    """The path with a backslash before what the option parser would take for a separator."""
    special = "\\," + also
    return "".join("\\" + char if char in special else char for char in str(path))


def unmount(target: Path) -> bool:
    """Detaches the top mount at `target`, busy or not; False if nothing was mounted there."""
    if _libc().umount2(os.fsencode(target), MNT_DETACH) == 0:
        return True
    number = ctypes.get_errno()
    if number in (22, 2):  # EINVAL: not a mount point; ENOENT
        return False
    raise OSError(number, os.strerror(number), str(target))


def read_mounts() -> str:
    """The table of mounts. Whoever may mount something chooses its name, of any bytes: those that
    are no text are as in names of files (os.fsdecode).
    """
    return os.fsdecode(MOUNTS.read_bytes())


def entries(table: str) -> list[str]:
    """The lines of a table of mounts. The kernel escapes newlines in names, and no other of the
    characters that `str.splitlines` ends a line at.
    """
    return [line for line in table.split("\n") if line]


def mount_points(below: Path, table: str | None = None) -> list[Path]:
    """Mount points at or below a directory, the youngest first; `table` as /proc/self/mounts.

    They are as the kernel calls them: no link is in them, though one may lead to the directory.
    """
    below = _real(below)
    lines = entries(read_mounts() if table is None else table)
    points = [Path(_unescaped(line.split(" ")[1])) for line in lines]
    return [point for point in reversed(points) if point.is_relative_to(below)]


def is_mounted(target: Path, table: str | None = None) -> bool:
    """Whether something is mounted just there; what is mounted is not looked into."""
    return _real(target) in mount_points(target, table)


def clear(folder: Path) -> None:
    """Takes away a folder of places with what is mounted there; OSError if it cannot be."""
    for point in mount_points(folder):
        unmount(point)
    remove_places(folder)


def remove_places(folder: Path) -> None:
    """Removes a folder, if it is there, of files and empty folders; OSError while something is
    mounted on one, whatever the table of mounts says, for nothing is looked into.
    """
    if not folder.exists():
        return
    for place in list(folder.iterdir()):
        try:
            place.unlink()
        except IsADirectoryError:
            place.rmdir()
    folder.rmdir()


def _real(path: Path) -> Path:
    """The path as the table of mounts has it. Its last part is not followed, since that is what may
    be mounted, and hang.
    """
    return Path(os.path.realpath(path.parent), path.name)


def _unescaped(field: str) -> str:
    """A field of the mount table without its octal escapes for blank, tab, newline, backslash."""
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, char)
    return field
