"""Coverage-guided fuzzing of what reads bytes of others, for as long as one likes.

    make fuzz TARGET=answer MINUTES=10

Without TARGET each has its turn. What is found is written to the current directory as crash-*, and
ends the run. Needs atheris, which only this uses.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_MINUTES = 5


def main() -> int:
    """The whole program; see the module."""
    names = [os.environ["TARGET"]] if os.environ.get("TARGET") else _names()
    seconds = 60 * int(os.environ.get("MINUTES") or _MINUTES) // len(names)
    for name in names:
        print(f"fuzz: {name} for {seconds} s", flush=True)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
            argv = [sys.executable, "-m", "tests.fuzz", name, corpus]
            # The library leaves by itself, and with it the process.
            done = subprocess.run([*argv, f"-max_total_time={seconds}"], check=False)
        if done.returncode:
            return done.returncode
    return 0


def run(name: str, corpus: Path, *flags: str) -> None:
    """Never returns."""
    import atheris  # noqa: PLC0415 - see the module

    with atheris.instrument_imports(include=["overlay_net", "hostkit", "runtime.volume"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / str(number)).write_bytes(seed)
    atheris.Setup([sys.argv[0], *flags, str(corpus)], TARGETS[name].try_)
    atheris.Fuzz()


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    return list(TARGETS)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
    sys.exit(main())
