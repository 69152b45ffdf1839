"""Hosts that are reached by a scripted way: what `swarmctl` does on them is played with a few
dictionaries, and every command line is one that the real command understands.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.layout import COMMAND
from machine.provisioning import Change, Kind, Problem, Tell, Wanted
from machine.remote import Remote
from machine.steps.state import FIND
from swarmctl.cli.root import swarmctl


@dataclass
class PlayedSwarm:
    """The swarm of the hosts; there is one at most. Nodes as `node inspect` shows them."""

    id: str = ""
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """By node: rows of `node ps`. They go when the node is drained."""
    homes: dict[str, str] = field(default_factory=dict)
    tokens: tuple[str, str] = ("WORKER-TOKEN", "MANAGER-TOKEN")

    def leader(self) -> str:
        return next((key for key, each in self.nodes.items() if "Manager" in each), "")


class PlayedHost:
    """A Remote. `lines`: every command line of swarmctl that came, without its options before."""

    def __init__(self, name: str, swarm: PlayedSwarm, version: str = "") -> None:
        self.name = name
        self.swarm = swarm
        self.version = version
        self.node_id = ""
        self.lines: list[str] = []
        self.files: dict[str, bytes] = {}
        self.is_away = False
        self.is_out_of_touch = False  # its daemon runs, and has not reached the managers
        self.is_locked = False  # a manager whose keys wait for swarm unlock
        self.before_answer: Callable[[str], None] = lambda line: None

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        if self.is_away:
            raise SwarmError(Code.UNAVAILABLE, f"{self.name} is not reached")
        words = list(argv)
        if words[:3] == ["sh", "-c", FIND]:
            return Completed(tuple(argv), 0, f"{COMMAND}\n".encode(), b"")
        if words[0] == "readlink":
            return Completed(tuple(argv), 0, f"/opt/swarm/{self.version}\n".encode(), b"")
        if words[:2] == ["sh", "-c"]:  # a hook
            self.lines.append(f"hook {words[2]}")
            code = 7 if "fails" in words[2] else 0
            return Completed(tuple(argv), code, b"", b"no such balancer\n" if code else b"")
        assert words.pop(0) == COMMAND
        if not self.version:
            return Completed(tuple(argv), 127, b"", b"no such file")
        given = parsed(words)
        self.lines.append(" ".join(words))
        self.before_answer(" ".join(words))
        if self.is_locked and words[:2] != ["system", "info"]:
            return Completed(tuple(argv), 1, b"", b"swarmctl: this manager is locked\n")
        verb = "_" + "_".join(words[:2]).replace("-", "_")
        code, out = getattr(self, verb)(given, stdin)
        err = b"" if code == 0 else f"swarmctl: {out}".encode()
        return Completed(tuple(argv), code, out.encode() if code == 0 else b"", err)

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        return self.files.get(path)

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        self.files[path] = content

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        raise AssertionError("nothing is uploaded here")

    async def close(self) -> None:
        return None

    # What swarmctl does.

    def _system_info(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        found: dict[str, Any] = {"Version": self.version, "Description": {"Hostname": self.name}}
        if self.node_id:
            node = self.swarm.nodes.get(self.node_id, {})
            found["Swarm"] = {
                "State": self._state(),
                "NodeID": self.node_id,
                "ClusterID": self.swarm.id,
                "Managers": [f"{key}:2377" for key in self.swarm.nodes],
                "CertificateExpiresAt": "2027-01-01T00:00:00Z",
            }
            if "Manager" in node:
                found["Swarm"]["Role"] = "manager"
        return 0, json.dumps(found)

    def _state(self) -> str:
        if self.is_locked:
            return "locked"
        is_known = self.node_id in self.swarm.nodes
        return "active" if is_known and not self.is_out_of_touch else "pending"

    def _swarm_init(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        assert not self.swarm.id, "a second swarm"
        self.swarm.id = "c1"
        if given["task_history_limit"] is not None:
            self.swarm.spec["TaskHistoryLimit"] = given["task_history_limit"]
        self._enter("manager")
        return 0, self.node_id

    def _swarm_join(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        token = stdin.decode().strip()
        assert str(given["token_file"]) == "-"
        assert given["managers"]
        self._enter("manager" if token == self.swarm.tokens[1] else "worker")
        assert token in self.swarm.tokens
        self._set_availability(self.node_id, given["availability"])
        return 0, "joined"

    def _enter(self, role: str) -> None:
        self.node_id = f"id-{self.name}"
        self.swarm.nodes[self.node_id] = {
            "ID": self.node_id,
            "Spec": {"Labels": {}},
            "Status": {"State": "ready"},
            "Description": {"Hostname": self.name, "Engine": {"Version": self.version}},
        }
        self._set_role(self.node_id, role)

    def _set_role(self, key: str, role: str) -> None:
        node = self.swarm.nodes[key]
        if role == "manager":
            node["Spec"]["Role"] = "manager"
            node["Manager"] = {"Reachable": True, "Leader": len(self._seats()) == 0}
        else:
            node["Spec"].pop("Role", None)
            node.pop("Manager", None)

    def _seats(self) -> list[str]:
        return [key for key, each in self.swarm.nodes.items() if "Manager" in each]

    def _swarm_join_token(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        assert given["quiet"]
        return 0, self.swarm.tokens[given["role"] == "manager"]

    def _swarm_inspect(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        if "Manager" not in self.swarm.nodes.get(self.node_id, {}):
            return 1, "this node is not part of a swarm"
        return 0, json.dumps({"ID": self.swarm.id, "Spec": self.swarm.spec})

    def _swarm_update(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        self.swarm.spec["TaskHistoryLimit"] = given["task_history_limit"]
        return 0, "Swarm updated."

    def _swarm_leave(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        assert given["force"]
        self.node_id = ""
        return 0, "Node left the swarm."

    def _volume_ls(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        return 0, "".join(f"{home}\t{name}\n" for name, home in self.swarm.homes.items())

    def _node_ls(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        if "Manager" not in self.swarm.nodes.get(self.node_id, {}):
            return 4, "no manager answers"
        return 0, "\n".join(self.swarm.nodes)

    def _node_inspect(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        return 0, json.dumps([self.swarm.nodes[key] for key in given["names"]])

    def _node_ps(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        (key,) = given["names"]
        node = self.swarm.nodes[key]
        rows = self.swarm.tasks.get(key, [])
        if node["Spec"].get("Availability") == "drain" and rows:
            self.swarm.tasks[key] = rows[1:]  # one goes between two looks
        return 0, "\n".join(map(json.dumps, rows))

    def _node_update(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        spec = self.swarm.nodes[given["name"]]["Spec"]
        if given["availability"] is not None:
            self._set_availability(given["name"], given["availability"])
        spec["Labels"] |= dict(each.split("=", 1) for each in given["label_add"])
        for key in given["label_rm"]:
            del spec["Labels"][key]
        return 0, given["name"]

    def _set_availability(self, key: str, number: int) -> None:
        self.swarm.nodes[key]["Spec"]["Availability"] = ("active", "pause", "drain")[number]

    def _node_promote(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        self._set_role(given["names"][0], "manager")
        return 0, ""

    def _node_demote(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        self._set_role(given["names"][0], "worker")
        return 0, ""

    def _node_rm(self, given: Mapping[str, Any], stdin: bytes) -> tuple[int, str]:
        assert given["force"]
        (key,) = given["names"]
        assert "Manager" not in self.swarm.nodes[key], "a manager has to be demoted before"
        del self.swarm.nodes[key]
        return 0, key


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The parameters that the real command reads out of these words; it refuses what it would."""
    command: click.Command = swarmctl
    context = click.Context(swarmctl)
    rest = list(words)
    while isinstance(command, click.Group):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    with command.make_context(name, rest, parent=context) as made:
        return dict(made.params)


class PlayedProvisioner:
    """Installs by noting the version. `broken`: one that does not come up."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self._before: dict[str, str] = {}
        self.told: list[str] = []

    async def problems(self, remote: Remote, wanted: Wanted) -> Sequence[Problem]:
        return ()

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        assert isinstance(remote, PlayedHost)
        if remote.version == wanted.version:
            return ()
        return (Change(Kind.ADD, "version", f"install {wanted.version}"),)

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        assert isinstance(remote, PlayedHost)
        tell(f"installing {wanted.version}")
        changes = await self.changes(remote, wanted)
        self._before[remote.name] = remote.version
        self._run(remote, wanted.version)
        if wanted.version == self.broken:
            raise SwarmError(Code.INTERNAL, "swarmd does not come up")
        return changes

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        assert isinstance(remote, PlayedHost)
        assert remote.version != wanted.version
        return ()

    async def roll_back(self, remote: Remote, tell: Tell) -> str:
        assert isinstance(remote, PlayedHost)
        before, self._before[remote.name] = self._before[remote.name], remote.version
        self._run(remote, before)
        return before

    async def remove(self, remote: Remote, tell: Tell, *, force: bool = False) -> None:
        assert isinstance(remote, PlayedHost)
        assert not remote.node_id
        remote.version = ""

    def _run(self, remote: PlayedHost, version: str) -> None:
        remote.version = version
        if remote.node_id in remote.swarm.nodes:
            node = remote.swarm.nodes[remote.node_id]
            node["Description"]["Engine"]["Version"] = version
            remote.is_locked = "Manager" in node and remote.swarm.spec.get("Autolock", False)
