"""Flags of `service create` and `service update` that hold several values. A table: create takes
FLAG any number of times, update takes FLAG-add and FLAG-rm. Adding an element replaces the one
with the same key; removing one that is not there is harmless, as in Docker.
"""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from api.v1 import specs_pb2, types_pb2
from swarmctl.cli.specs import elements

Spec = specs_pb2.ServiceSpec


@dataclass(frozen=True)
class Many:
    """One list flag.

    `parse` reads an element, `field` is where they go. An added element takes the place of one
    with the same `key`; -rm takes a key, or `named` tells of its text which elements are meant.
    `expand` makes several texts of one.
    """

    flag: str
    parse: Callable[[str], Any]
    field: Callable[[Spec], Any]
    key: Callable[[Any], str]
    help: str
    named: Callable[[str], Callable[[Any], bool]] | None = None
    expand: Callable[[str], list[str]] = lambda text: [text]

    @property
    def name(self) -> str:
        """The flag's word: env."""
        return self.flag.rpartition("/")[2].lstrip("-")

    def add(self, spec: Spec, texts: Iterable[str], flag: str) -> None:
        """Adds or replaces elements; a usage error for a text that cannot be read."""
        for text in texts:
            with _naming(flag):
                for single in self.expand(text):
                    self._put(self.field(spec), self.parse(single))

    def remove(self, spec: Spec, texts: Iterable[str], flag: str) -> None:
        """Removes the elements that the texts name."""
        target = self.field(spec)
        for text in texts:
            with _naming(flag):
                if isinstance(target, MutableMapping):
                    target.pop(text, None)
                    continue
                is_named = self._by_key(text) if self.named is None else self.named(text)
                kept = [each for each in target if not is_named(each)]
                del target[:]
                target.extend(kept)

    def _by_key(self, text: str) -> Callable[[Any], bool]:
        return lambda element: self.key(element) == text

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


@contextmanager
def _naming(flag: str) -> Iterator[None]:
    """Turns a ValueError into a usage error that names the flag."""
    try:
        yield
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=flag) from error


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"{text!r} is not of the form key=value")
    return key, value


def _before_equals(text: str) -> str:
    return text.partition("=")[0]


def _port_key(port: specs_pb2.PortConfig) -> str:
    return f"{port.host_ip}:{port.published_port}:{port.target_port}/{port.protocol}/{port.mode}"


def _same_target(text: str) -> Callable[[specs_pb2.PortConfig], bool]:
    # `--publish-rm` names the target port, its protocol and mode: 80, 80/udp, target=80,mode=host.
    named = elements.port(text)
    wanted = (named.target_port, named.protocol, named.mode)
    return lambda port: (port.target_port, port.protocol, port.mode) == wanted


def _same_source(text: str) -> Callable[[specs_pb2.FileReference], bool]:
    return lambda file: file.source == text


def _file_key(file: specs_pb2.FileReference) -> str:
    return file.target


def _same_label(text: str) -> Callable[[str], bool]:
    label = elements.spread(text)
    return lambda present: present == label


def _same_kind(text: str) -> Callable[[types_pb2.GenericResource], bool]:
    kind = _before_equals(text)
    return lambda resource: resource.kind == kind


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
        _same_target,
        elements.single_ports,
    ),
    Many("--network", elements.network, lambda s: s.task.networks, lambda n: n.target, "A network"),
    Many(
        "--secret",
        elements.file_reference,
        lambda s: s.task.container.secrets,
        _file_key,
        "A secret",
        _same_source,
    ),
    Many(
        "--config",
        elements.file_reference,
        lambda s: s.task.container.configs,
        _file_key,
        "A config",
        _same_source,
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
        _same_label,
    ),
    Many(
        "--generic-resource",
        elements.generic_resource,
        lambda s: s.task.resources.reservations.generic,
        lambda r: r.kind,
        "kind=count",
        _same_kind,
    ),
    Many("--group", _TEXT, lambda s: s.task.container.groups, _itself, "A further group"),
    Many(
        "--host",
        elements.host,
        lambda s: s.task.container.hosts,
        _itself,
        "name:address for /etc/hosts",
        elements.host_named,
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
    Many("--log-opt", _pair, lambda s: s.task.log_driver.options, _itself, "Log option"),
)
"""List flags whose name is the same in create and update; there they add."""
