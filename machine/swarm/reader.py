"""Reads a cluster file into what is wanted. Pure: the text and where it stands are arguments.

Every mistake is told at once, with its path in the file; docs/reference/cluster-file.md tells what
may be in it.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from api.durations import parse_duration
from api.errors import Code, SwarmError
from machine.swarm.document import Mistakes, Section, shown
from machine.swarm.options import OPTIONS, Option, Type, Value
from machine.swarm.wanted import Availability, Hooks, HostWanted, Role, SwarmWanted
from machine.swarm.yaml_text import read_yaml
from machine.target import Target

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_ROLES = {each.value: each for each in Role}
_AVAILABILITIES: Mapping[str, Availability | None] = {each.value: each for each in Availability}
_STATES = {"present": False, "absent": True}
_PORTS = (1, 65535)
MOST_HOSTS = 1000
_MOST_COMMANDS = 20


def read(text: str, *, name: str, folder: Path, settings: Collection[str]) -> SwarmWanted:
    """What the file `name`, which stands in `folder`, wants; `settings`: names that swarmd knows.

    INVALID with every mistake.
    """
    mistakes = Mistakes()
    found = _Reader(folder, settings, mistakes).file(read_yaml(text, name))
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise SwarmError(
            Code.INVALID, f"{name} has {count}", why="".join(f"\n  {each}" for each in mistakes)
        )
    return found


class _Reader:
    def __init__(self, folder: Path, settings: Collection[str], mistakes: Mistakes) -> None:
        self._folder = folder
        self._settings = settings
        self._mistakes = mistakes

    def file(self, document: object) -> SwarmWanted:
        """All of it."""
        whole = Section(document, "", self._mistakes)
        name, version = whole.text("name"), whole.text("version")
        if not _NAME.fullmatch(name):
            whole.wrong("name", "the swarm needs a name, of letters, digits, - and .")
        usual = HostWanted(
            name="",
            target=self._target(whole, "", Target("")),
            swarmd=self._swarmd(whole),
            hooks=self._hooks(whole, Hooks()),
        )
        options = _options(whole.section("swarm"))
        hosts = self._hosts(whole.section("hosts"), usual)
        present = [each for each in hosts.values() if not each.is_absent]
        if not hosts:
            whole.wrong("hosts", "name at least one host")
        elif not any(each.role is Role.MANAGER for each in present):
            whole.wrong("hosts", "none of them is to be a manager: give one role: manager")
        whole.end()
        return SwarmWanted(name, hosts, version, options)

    def _hosts(self, section: Section, usual: HostWanted) -> dict[str, HostWanted]:
        names = section.names()
        if len(names) > MOST_HOSTS:
            self._mistakes.add("hosts", f"there are more than {MOST_HOSTS}")
            return {}
        hosts: dict[str, HostWanted] = {}
        reached: dict[tuple[str, int, tuple[str, ...]], str] = {}
        for name in names:
            if not _NAME.fullmatch(name):
                section.wrong(name, "a host's name is of letters, digits, - and .")
            host = hosts[name] = self._host(name, section.section(name), usual)
            way = (host.target.host, host.target.port, host.target.jump)
            if way in reached:
                section.wrong(name, f"{host.target.host} is the address of {reached[way]} already")
            reached[way] = name
        return hosts

    def _host(self, name: str, host: Section, usual: HostWanted) -> HostWanted:
        wanted = HostWanted(
            name=name,
            target=self._target(host, host.text("address", name), usual.target),
            role=host.word("role", _ROLES, Role.WORKER),
            advertise=host.text("advertise"),
            listen=host.text("listen"),
            data_path=host.text("data_path"),
            availability=host.word("availability", _AVAILABILITIES, None),
            # Asked for in any case, so that `labels` is a key that is known.
            labels=host.pairs("labels") if host.has("labels") else host.take("labels"),
            swarmd={**usual.swarmd, **self._swarmd(host)},
            hostname=host.text("hostname"),
            is_absent=host.word("state", _STATES, False),
            hooks=self._hooks(host, usual.hooks),
        )
        host.end()
        return wanted

    def _target(self, around: Section, address: str, usual: Target) -> Target:
        """How a host is reached; what is not said is as `usual`."""
        ssh = around.section("ssh")
        key, host_key = ssh.text("key"), ssh.text("host_key", usual.host_key)
        if host_key and not _FINGERPRINT.fullmatch(host_key):
            ssh.wrong("host_key", f"{shown(host_key)} is no fingerprint such as SHA256:...")
        target = Target(
            host=address,
            user=ssh.text("user", usual.user),
            port=ssh.number("port", usual.port, *_PORTS),
            key=str(self._folder / Path(key).expanduser()) if key else usual.key,
            jump=ssh.texts("jump") or usual.jump,
            agent=ssh.switch("agent", usual.agent),
            host_key=host_key,
        )
        ssh.end()
        return target

    def _hooks(self, around: Section, usual: Hooks) -> Hooks:
        """Commands; what is not said is as `usual`."""
        section = around.section("hooks")
        apply, upgrade = section.section("apply"), section.section("upgrade")
        found = Hooks(
            before_apply=_commands(apply, "before", usual.before_apply),
            after_apply=_commands(apply, "after", usual.after_apply),
            before_upgrade=_commands(upgrade, "before", usual.before_upgrade),
            after_upgrade=_commands(upgrade, "after", usual.after_upgrade),
        )
        for each in (apply, upgrade, section):
            each.end()
        return found

    def _swarmd(self, around: Section) -> dict[str, Any]:
        """Settings of swarmd; their values are checked by swarmd itself."""
        section = around.section("swarmd")
        found = {name: section.take(name) for name in self._settings if section.has(name)}
        for name in self._settings:
            section.take(name)
        section.end()
        return found


def _commands(section: Section, key: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    is_there = section.has(key)
    found = section.texts(key)
    if len(found) > _MOST_COMMANDS:
        section.wrong(key, f"there are more than {_MOST_COMMANDS} commands")
    if any(not each.strip() or "\0" in each for each in found):
        section.wrong(key, "a command is empty, or no text for a shell")
    return found if is_there else usual


def _options(section: Section) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, option in OPTIONS.items():
        is_there = section.has(name)
        value = _option(section, option)
        if is_there:
            found[name] = value
    section.end()
    return found


def _option(section: Section, option: Option) -> Value:
    match option.type:
        case Type.SWITCH:
            return section.switch(option.name, False)
        case Type.NUMBER:
            return section.number(option.name, option.least, option.least, option.most)
        case Type.TEXTS:
            return section.texts(option.name)
        case Type.DURATION:
            text = section.text(option.name, "0")
            try:
                parse_duration(text)
            except ValueError as error:
                section.wrong(option.name, str(error))
            return text
