"""How a container ended, as conmon left it in files."""

from pathlib import Path

from runtime.driver import MONITOR_LOST, MONITOR_LOST_CODE, ExitResult
from runtime.layout import ContainerPaths

_REBOOTED = "the host restarted"


def files(paths: ContainerPaths) -> tuple[Path, ...]:
    """All of them: without them it has not ended."""
    return (paths.exit_file, paths.persist / "exit", paths.persist / "oom")


def read(paths: ContainerPaths) -> ExitResult | None:
    """The end of a container; None if conmon has not written any.

    Its second copy beside the bundle is the one that survives a reboot.
    """
    for file in (paths.exit_file, paths.persist / "exit"):
        found = _read_file(file, oom_killed=(paths.persist / "oom").exists())
        if found is not None:
            return found
    return None


def lost(now: float, *, rebooted: bool = False) -> ExitResult:
    """The end of a container whose exit code nobody took."""
    message = _REBOOTED if rebooted else MONITOR_LOST
    return ExitResult(MONITOR_LOST_CODE, oom_killed=False, at=now, message=message)


def _read_file(file: Path, *, oom_killed: bool) -> ExitResult | None:
    try:
        code, at = int(file.read_text()), file.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    return ExitResult(code, oom_killed, at, "out of memory" if oom_killed and code else "")
