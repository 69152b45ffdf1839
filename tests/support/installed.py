"""A package that is installed as far as Python's metadata tell: for entry points of others."""

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def installed(source: Path, folder: Path) -> Iterator[None]:
    """The package whose pyproject.toml is in `source`; `folder`: an empty one."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    info = folder / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    before, known = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(folder), str(source)]
    try:
        yield
    finally:
        sys.path[:] = before
        for module in set(sys.modules) - known:
            if getattr(sys.modules[module], "__file__", "") == str(source / f"{module}.py"):
                del sys.modules[module]
