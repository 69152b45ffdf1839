"""Names of images: `nginx` means docker.io/library/nginx:latest, by the rules of Docker.

Follows the grammar and the normalisation of the distribution project (package `reference`). Pure:
never looks a name up anywhere.
"""

import re
from dataclasses import dataclass

from api.errors import SwarmError, invalid
from api.image_name import DEFAULT_DOMAIN, domain_and_path
from runtime.image import digest as digests

DEFAULT_TAG = "latest"
FIELD = "image"

_OFFICIAL = "library/"
_MAX_PATH = 255
_MAX_TEXT = 2048

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_BARE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True)
class Reference:
    """A normalised reference: `domain` and `path` are set, and at least one of `tag`, `digest`."""

    domain: str
    path: str
    tag: str
    digest: str

    @property
    def repository(self) -> str:
        """Domain and path, without tag and digest."""
        return f"{self.domain}/{self.path}"

    def familiar(self) -> str:
        """What people see, `nginx:latest`; parses back to the same reference."""
        return self._familiar_repository() + self._suffix()

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def _familiar_repository(self) -> str:
        """The shortest name that still leads to this repository."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        short = self.path.removeprefix(_OFFICIAL)
        for name in (short, self.path):
            if domain_and_path(name) == (self.domain, self.path):
                return name
        return self.repository


def parse(text: str) -> Reference:
    """The reference that `text` means; without tag and digest the tag is `latest`.

    Raises SwarmError INVALID for the field "image".
    """
    if not text or len(text) > _MAX_TEXT:
        raise _refuse(text, "it is empty" if not text else f"longer than {_MAX_TEXT} characters")
    if _BARE_ID.fullmatch(text):
        raise _refuse(text, "a name cannot be 64 hexadecimal digits, which mean an image id")
    name, at, digest = text.partition("@")
    if at and not digests.is_valid(digest):
        raise _refuse(text, "what follows @ is not a sha256 or sha512 digest")
    name, tag = _split_tag(name)
    domain, path = domain_and_path(name)
    _check(text, domain, path)
    if tag is None:
        tag = "" if digest else DEFAULT_TAG
    elif not _TAG.fullmatch(tag):
        raise _refuse(text, "a tag is up to 128 letters, digits, _, . and -, and begins with none "
                            "of . and -")  # fmt: skip
    return Reference(domain, path, tag, digest)


def _split_tag(name: str) -> tuple[str, str | None]:
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, tag if colon else None


def _check(text: str, domain: str, path: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise _refuse(text, f"{domain!r} is not the host of a registry")
    if path != path.lower():
        raise _refuse(text, "the name of a repository must be lower case")
    if not _PATH.fullmatch(path):
        raise _refuse(text, "a name is lower-case letters and digits, with single separators "
                            "between them")  # fmt: skip
    if len(path) > _MAX_PATH:
        raise _refuse(text, f"the name of a repository has at most {_MAX_PATH} characters")


def _refuse(text: str, why: str) -> SwarmError:
    shown = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004
    return invalid(
        FIELD,
        f"{shown!r} is not a reference to an image",
        why=why,
        remedy="write it as [registry/]name[:tag][@digest]",
    )
