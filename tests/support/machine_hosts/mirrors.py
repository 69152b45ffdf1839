"""Where this machine gets Debian's and Python's packages from, as it is configured to."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

APT = Path("/etc/apt")
_ADDRESS = re.compile(r"https?://[^\s\]]+")
_INDEX = "https://pypi.org/simple"


@dataclass(frozen=True)
class Mirrors:
    """Addresses without a slash at their end."""

    debian: str
    security: str
    index: str


def configured(apt: Path = APT) -> Mirrors:
    """Those of this machine; Debian's and Python's own where nothing is said."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.*"))]
    text = "\n".join(each.read_text() for each in files if each.is_file())
    found = addresses(text)
    return Mirrors(
        debian=_ending(found, "/debian") or "http://deb.debian.org/debian",
        security=_ending(found, "/debian-security") or "http://deb.debian.org/debian-security",
        index=_index(),
    )


def addresses(sources: str) -> list[str]:
    """Every address in apt's lists, of the one-line style and of the other; no comments."""
    lines = (line.partition("#")[0] for line in sources.splitlines())
    return [found.rstrip("/") for line in lines for found in _ADDRESS.findall(line)]


def _ending(found: list[str], end: str) -> str:
    return next((each for each in found if each.endswith(end)), "")


def _index() -> str:
    said = os.environ.get("PIP_INDEX_URL", "")
    if not said:
        ask = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        told = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
        said = told.stdout.strip()
    return (said or _INDEX).rstrip("/")
