"""Who a container runs as: "user", "uid", "user:group" against its own passwd and group. Pure.

Docker's rules: a number needs no entry; a name does; without a group the user's own group counts,
and with it every group that lists the user as a member.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from api.errors import invalid

_LARGEST_ID = 2**31 - 1
_FIELD = "container.user"
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4


@dataclass(frozen=True)
class User:
    """Numbers for the kernel, and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]  # sorted, with `gid` among them
    home: str


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(text: str, extra_groups: Sequence[str], passwd: str, group: str) -> User:
    """The user behind `text` (empty: root); refuses names that the image does not know."""
    user_text, _, group_text = text.partition(":")
    groups = list(_groups(group))
    account = _find_account(user_text or "0", passwd)
    if group_text:
        gid, additional = _find_group(group_text, groups, _FIELD), set[int]()
    else:
        gid = account.gid
        additional = {
            entry.gid for entry in groups if account.name and account.name in entry.members
        }
    for index, name in enumerate(extra_groups):
        additional.add(_find_group(name, groups, f"container.groups[{index}]"))
    # With its own group in the list too, a process cannot leave it to dodge a file's mode that
    # gives the group less than others (CVE-2022-36109).
    additional.add(gid)
    return User(account.uid, gid, tuple(sorted(additional)), account.home)


def _find_account(text: str, passwd: str) -> _Account:
    # A name may look like a number: as in Docker, the entry of that name wins.
    accounts = list(_accounts(passwd))
    for account in accounts:
        if account.name == text:
            return account
    uid = _number(text, _FIELD)
    if uid is None:
        raise invalid(_FIELD, f"no user {text!r} in the image's passwd file")
    for account in accounts:
        if account.uid == uid:
            return account
    return _Account("", uid, 0, "/")


def _find_group(text: str, groups: Iterable[_Group], field: str) -> int:
    for entry in groups:
        if entry.name == text:
            return entry.gid
    gid = _number(text, field)
    if gid is None:
        raise invalid(field, f"no group {text!r} in the image's group file")
    return gid


def _number(text: str, field: str) -> int | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    number = int(text)
    if number > _LARGEST_ID:
        raise invalid(field, f"{text} is above the largest id, {_LARGEST_ID}")
    return number


def _accounts(passwd: str) -> Iterator[_Account]:
    for line in passwd.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= _PASSWD_FIELDS and fields[2].isdecimal() and fields[3].isdecimal():
            yield _Account(fields[0], int(fields[2]), int(fields[3]), fields[5] or "/")


def _groups(text: str) -> Iterator[_Group]:
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= _GROUP_FIELDS and fields[2].isdecimal():
            yield _Group(fields[0], int(fields[2]), tuple(fields[3].split(",")))
