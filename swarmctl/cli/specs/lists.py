"""Flags of `service create` and `service update` that hold several values. A table: create takes
FLAG any number of times, update takes FLAG-add and FLAG-rm. Adding an element replaces the one
with the same key; removing one that is not there is harmless, as in Docker.
"""

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import click

from api.v1 import specs_pb2
from swarmctl.cli.specs import elements

Spec = specs_pb2.ServiceSpec


@dataclass(frozen=True)
class Many:
    """One list flag: `parse` reads an element, `field` is where they go, `key` tells them apart."""

    flag: str
    parse: Callable[[str], Any]
    field: Callable[[Spec], Any]
    key: Callable[[Any], str]
    help: str
    removal_key: Callable[[str], str] = str

    @property
    def name(self) -> str:
        """The flag's word: env."""
        return self.flag.rpartition("/")[2].lstrip("-")

    def add(self, spec: Spec, texts: Iterable[str], flag: str) -> None:
        """Adds or replaces elements; a usage error for a text that cannot be read."""
        for text in texts:
            self._put(self.field(spec), self._read(text, flag))

    def remove(self, spec: Spec, texts: Iterable[str]) -> None:
        """Removes the elements with these keys."""
        gone = {self.removal_key(text) for text in texts}
        target = self.field(spec)
        if isinstance(target, MutableMapping):
            for key in gone:
                target.pop(key, None)
            return
        kept = [each for each in target if self.key(each) not in gone]
        del target[:]
        target.extend(kept)

    def _read(self, text: str, flag: str) -> Any:  # noqa: ANN401 - text, pair or message
        try:
            return self.parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=flag) from error

    def _put(self, target: Any, element: Any) -> None:  # noqa: ANN401
        if isinstance(target, MutableMapping):
            target[element[0]] = element[1]
            return
        key = self.key(element)
        for index, present in enumerate(target):
            if self.key(present) == key:
                del target[index]
                target.insert(index, element)
                return
        target.append(element)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"{text!r} is not of the form key=value")
    return key, value


def _before_equals(text: str) -> str:
    return text.partition("=")[0]


def _port_key(port: specs_pb2.PortConfig) -> str:
    return f"{port.target_port}/{port.protocol}/{port.mode}"


def _published(text: str) -> str:
    # `--publish-rm` names the target port, with its protocol: 80 or 80/udp.
    return _port_key(elements.port(text.rpartition(":")[2]))


_TEXT = str


def _itself(value: Any) -> str:  # noqa: ANN401
    return str(value)


MANY: tuple[Many, ...] = (
    Many("-e/--env", _TEXT, lambda s: s.task.container.env, _before_equals, "NAME=value"),
    Many("-l/--label", _pair, lambda s: s.annotations.labels, _itself, "Label of the service"),
    Many(
        "--container-label",
        _pair,
        lambda s: s.task.container.labels,
        _itself,
        "Label of the containers",
    ),
    Many(
        "--mount", elements.mount, lambda s: s.task.container.mounts, lambda m: m.target, "A mount"
    ),
    Many(
        "-p/--publish",
        elements.port,
        lambda s: s.endpoint.ports,
        _port_key,
        "Publish a port",
        _published,
    ),
    Many("--network", elements.network, lambda s: s.task.networks, lambda n: n.target, "A network"),
    Many(
        "--secret",
        elements.file_reference,
        lambda s: s.task.container.secrets,
        lambda f: f.source,
        "A secret",
    ),
    Many(
        "--config",
        elements.file_reference,
        lambda s: s.task.container.configs,
        lambda f: f.source,
        "A config",
    ),
    Many(
        "--constraint", _TEXT, lambda s: s.task.placement.constraints, _itself, "node.role==worker"
    ),
    Many(
        "--placement-pref",
        elements.spread,
        lambda s: s.task.placement.spread,
        _itself,
        "spread=node.labels.NAME",
        elements.spread,
    ),
    Many(
        "--generic-resource",
        elements.generic_resource,
        lambda s: s.task.resources.reservations.generic,
        lambda r: r.kind,
        "kind=count",
    ),
    Many("--group", _TEXT, lambda s: s.task.container.groups, _itself, "A further group"),
    Many(
        "--host",
        elements.host,
        lambda s: s.task.container.hosts,
        _itself,
        "name:address for /etc/hosts",
        elements.host,
    ),
    Many("--dns", _TEXT, lambda s: s.task.container.dns.nameservers, _itself, "A name server"),
    Many("--dns-option", _TEXT, lambda s: s.task.container.dns.options, _itself, "DNS option"),
    Many("--dns-search", _TEXT, lambda s: s.task.container.dns.search, _itself, "Search domain"),
    Many(
        "--ulimit",
        elements.ulimit,
        lambda s: s.task.container.ulimits,
        lambda u: u.name,
        "name=soft[:hard]",
    ),
    Many("--sysctl", _pair, lambda s: s.task.container.sysctls, _itself, "name=value"),
)
UNSUFFIXED: tuple[Many, ...] = (
    Many("--cap-add", _TEXT, lambda s: s.task.container.cap_add, _itself, "Give a capability"),
    Many("--cap-drop", _TEXT, lambda s: s.task.container.cap_drop, _itself, "Take a capability"),
    Many("--log-opt", _pair, lambda s: s.task.log_driver.options, _itself, "Log option"),
)
"""List flags whose name is the same in create and update; there they add."""
