"""Which platform an image is for, and which of several images serves a wanted platform best.

Names and order of preference are those of OCI and containerd (package `platforms`). The choice is
pure; `host` alone looks at this machine.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from api.v1 import types_pb2

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_VARIANTS = {
    ("amd64", "v1"): "",
    ("arm64", "v8"): "",
    ("arm64", "8"): "",
    ("arm", ""): "v7",
    ("arm", "5"): "v5",
    ("arm", "6"): "v6",
    ("arm", "7"): "v7",
    ("arm", "8"): "v8",
}
# What else a processor runs, best first, as containerd's platform vectors.
_ARM = ("v8", "v7", "v6", "v5")
_AMD64 = ("v4", "v3", "v2", "")


@dataclass(frozen=True)
class Platform:
    """A normalised platform: amd64 rather than x86_64, no variant where it is the default."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def normalise(os: str, architecture: str, variant: str = "") -> Platform:
    """The platform of these words; `architecture` may carry the variant, as in `arm/v6`."""
    name, _, inner = architecture.lower().partition("/")
    name, implied = _ARCHITECTURES.get(name, (name, ""))
    variant = variant.lower() or inner or implied
    return Platform(os.lower() or "linux", name, _VARIANTS.get((name, variant), variant))


def host() -> Platform:
    """The platform of this machine."""
    return normalise("linux", platform.machine())


def wanted(given: types_pb2.Platform | None) -> Platform:
    """The platform that a request names; what it leaves open is this host's."""
    own = host()
    if given is None or not (given.os or given.architecture):
        return own
    if not given.architecture:
        return Platform(given.os.lower(), own.architecture, own.variant)
    return normalise(given.os, given.architecture)


def acceptable(want: Platform) -> list[Platform]:
    """Every platform whose images run on `want`, best first."""

    def variants(architecture: str, choice: Sequence[str]) -> list[Platform]:
        return [Platform(want.os, architecture, variant) for variant in choice]

    if want.architecture == "amd64":
        own = _AMD64[_AMD64.index(want.variant) :] if want.variant in _AMD64 else (want.variant,)
        return [*variants("amd64", own), Platform(want.os, "386")]
    if want.architecture == "arm64":
        own = (want.variant, "") if want.variant else ("",)
        return [*variants("arm64", own), *variants("arm", _ARM)]
    if want.architecture == "arm" and want.variant in _ARM:
        return variants("arm", _ARM[_ARM.index(want.variant) :])
    return [want]


def runs_on(offered: Platform, want: Platform) -> bool:
    """Whether an image for `offered` runs on `want`."""
    return offered in acceptable(want)


def choose(offered: Sequence[Platform | None], want: Platform) -> int | None:
    """Index of the best image for `want`, the first of equals; None if there is none.

    An image that does not tell its platform (None) counts only where it is the only one.
    """
    for candidate in acceptable(want):
        if candidate in offered:
            return offered.index(candidate)
    return 0 if list(offered) == [None] else None
