"""A host on paper: files, packages, a service. It answers the commands of an installation as a host
would, so that a run can be cut off at every one of them, before it and behind it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.succession import LOCKED

FACTS = b"""\
clock\t0.0
os.id\tdebian
os.version\t12
arch\tx86_64
hostname\th1
python\t3.11.2
init\tsystemd
mirror\treached
index\treached
feature\toverlay loaded
feature\tveth loaded
feature\tvxlan loaded
feature\tmacvlan loaded
feature\tnf_tables loaded
feature\twireguard loaded
controllers\tcpu memory pids
end\t0.0
"""
T = TypeVar("T")
_SCRIPTS = {
    files(package).joinpath(name).read_bytes(): name
    for package, name in (
        ("machine.facts", "look.sh"),
        ("machine.steps", "seen.sh"),
        ("machine.steps", "healthy.sh"),
        ("machine.steps", "take_down.sh"),
        ("machine.swarm", "lock.sh"),
    )
}
_BASE = ("ca-certificates", "iproute2", "kmod", "libseccomp2", "nftables", "python3")


@dataclass(frozen=True)
class Node:
    """What lies at a path."""

    kind: str  # file, link or folder
    content: bytes = b""
    mode: int = 0o755


@dataclass
class PaperHost:
    """Its state, which may be compared. `broken`: versions whose daemon does not come up."""

    tree: dict[str, Node] = field(default_factory=dict)
    packages: set[str] = field(default_factory=lambda: set(_BASE))
    groups: set[str] = field(default_factory=set)
    hostname: str = "old"
    active: str = "inactive"
    enabled: str = ""
    runs: str = ""  # the version of the daemon that was started last
    starts: int = 0
    swarm: str = "inactive"
    unreachable: set[str] = field(default_factory=set)  # packages that no mirror has
    apt_fails: list[str] = field(default_factory=list)  # what its next works end with
    locked_by: str = ""  # what its lock answers: by whom it is held
    broken: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()  # paths that cannot be removed
    facts: bytes = FACTS
    python: str = "3.11"
    unit_is_stale: bool = False

    def picture(self) -> object:
        """All that an installation may change, but how often the daemon was started."""
        return (self.tree, self.packages, self.groups, self.hostname, self.active, self.enabled)

    def do(self, argv: Sequence[str], stdin: bytes) -> tuple[int, str]:
        """Exit code and output of a command."""
        words = list(argv)
        if words[0] == "flock":
            words = words[words.index(LOCKED) + 1 :]
        while words[0] == "env" or "=" in words[0].split("/")[0]:
            words = words[1:]
        if words[:2] == ["sh", "-s"]:
            return self._script(_SCRIPTS[stdin], words[2:])
        if words[:2] == ["sh", "-c"]:
            return self._shell(words[2], words[4:])
        if words[0] == "apt-get":
            return self._apt([word for word in words[1:] if not word.startswith("-")], words)
        if words[0].endswith("/bin/swarmctl"):
            return self._swarmctl(words)
        if words[0].endswith("/bin/python"):
            return 0, ""
        plain: Callable[[list[str]], tuple[int, str] | None] = getattr(
            self, f"_{words[0].rpartition('/')[2].replace('-', '_')}"
        )
        return plain([word for word in words[1:] if not word.startswith("-")]) or (0, "")

    def put(self, path: str, node: Node) -> None:
        parent = path.rpartition("/")[0]
        while parent and parent not in self.tree and parent.startswith(("/opt/", "/etc/swarm")):
            self.tree[parent] = Node("folder")
            parent = parent.rpartition("/")[0]
        self.tree[path] = node

    def _below(self, folder: str) -> list[str]:
        return [path for path in self.tree if path.startswith(f"{folder}/")]

    def _script(self, name: str, words: list[str]) -> tuple[int, str]:
        if name == "look.sh":
            return 0, self.facts.decode()
        if name == "seen.sh":
            return 0, self._seen(words)
        if name == "healthy.sh":
            if self.active == "active" and self.runs not in self.broken:
                return 0, json.dumps({"Version": self.runs})
            return 1, ""
        if name == "lock.sh":
            return 0, self.locked_by or "mine"
        self.active, self.enabled = "inactive", ""
        return 0, ""

    def _seen(self, words: list[str]) -> str:
        lines = [f"missing\t{p}" for p in words[0].split() if p not in self.packages]
        for path in words[1:]:
            node = self.tree.get(path)
            if node is not None:
                used = "used" if self._below(path) else "empty"
                content = {
                    "file": hashlib.sha256(node.content).hexdigest(),
                    "link": node.content.decode(),
                    "folder": used,
                }[node.kind]
                lines.append(f"place\t{node.kind} {node.mode:o} root:root {content} {path}")
        lines += [f"group\t{group}" for group in self.groups]
        for path, node in self.tree.items():
            if path.endswith("/.complete"):
                lines.append(f"version\t{path.split('/')[3]} {node.content.decode().strip()}")
        lines += [
            f"hostname\t{self.hostname}",
            f"python\t{self.python}",
            f"ActiveState\t{self.active}",
            f"UnitFileState\t{self.enabled}",
            f"NeedDaemonReload\t{'yes' if self.unit_is_stale else 'no'}",
        ]
        return "\n".join([*lines, "end\t", ""])

    def _shell(self, script: str, words: list[str]) -> tuple[int, str]:
        if script.startswith("ln -sfn"):
            self.put(words[1], Node("link", words[0].encode(), 0))
        elif script.startswith("rm -rf"):
            self._rm(words[:2])
            for folder in words[2:]:
                self._rmdir([folder])
        elif script.startswith("cp -a"):
            self.put(words[1], self.tree[words[0]])
        elif "find" in script:
            for path in self._below(words[0]):
                del self.tree[path]
        elif "command -v" in script:
            return 0, "/opt/swarm/current/bin/swarmctl"
        return 0, ""

    def _apt(self, words: list[str], flags: list[str]) -> tuple[int, str]:
        words = [word for word in words if "::" not in word]
        verb, names = words[0], set(words[1:])
        if verb == "install":
            new = (names | {"libyajl2"}) - self.packages
            if lost := names & self.unreachable:
                return 100, f"E: Unable to locate package {min(lost)}"
            if "-s" in flags:
                return 0, "".join(f"Inst {name} (1 Debian [amd64])\n" for name in sorted(new))
            if self.apt_fails:
                return 100, self.apt_fails.pop(0)
            self.packages |= new
        elif verb == "purge":
            if "-s" in flags:
                return 0, "".join(f"Purg {name} [1]\n" for name in sorted(names))
            if self.apt_fails:
                return 100, self.apt_fails.pop(0)
            self.packages -= names
        return 0, ""

    def _swarmctl(self, words: list[str]) -> tuple[int, str]:
        if "leave" in words:
            self.swarm = "inactive"
        if "--version" in words or self.active != "active":
            return (0 if "--version" in words else 1), ""
        return 0, json.dumps({"Version": self.runs, "Swarm": {"State": self.swarm}})

    def _true(self, words: list[str]) -> None:
        """Nothing works here that an earlier run began."""

    def _dpkg(self, words: list[str]) -> None:
        """Ends what was cut off."""

    def _dpkg_query(self, words: list[str]) -> tuple[int, str]:
        return 0, "".join(f"ii {name}\n" for name in sorted(self.packages))

    def _python3(self, words: list[str]) -> tuple[int, str]:
        if words[0] == "venv":
            self.put(f"{words[1]}/bin/python", Node("file"))
        return 0, f"{self.python} x86_64\n"

    def _groupadd(self, words: list[str]) -> None:
        self.groups.add(words[0])

    def _groupdel(self, words: list[str]) -> None:
        self.groups.discard(words[0])

    def _hostname(self, words: list[str]) -> None:
        self.hostname = words[0]

    def _mkdir(self, words: list[str]) -> None:
        path = words[-1]  # the word before it may be a mode
        if path not in self.tree:
            self.put(path, Node("folder"))

    def _rm(self, words: list[str]) -> tuple[int, str]:
        if stuck := self.busy.intersection(words):
            return 1, f"cannot remove {min(stuck)}: Device or resource busy"
        for path in words:
            for each in (path, *self._below(path)):
                self.tree.pop(each, None)
        return 0, ""

    def _readlink(self, words: list[str]) -> tuple[int, str]:
        node = self.tree.get(words[0])
        return (0, node.content.decode() + "\n") if node else (1, "")

    def _rmdir(self, words: list[str]) -> tuple[int, str]:
        if self._below(words[0]):
            return 1, ""
        self.tree.pop(words[0], None)
        return 0, ""

    def _cp(self, words: list[str]) -> None:
        *sources, target = words
        folder = self.tree.get(target)
        for source in sources:
            inside = folder is not None and folder.kind == "folder"
            name = source.rpartition("/")[2]
            self.put(f"{target}/{name}" if inside else target, self.tree[source])

    def _systemctl(self, words: list[str]) -> None:
        if words[0] == "daemon-reload":
            self.unit_is_stale = False
        elif words[0] == "enable":
            self.enabled = "enabled"
        elif words[0] in ("restart", "start"):
            self.active, self.starts = "active", self.starts + 1
            self.runs = self.tree["/opt/swarm/current"].content.decode()


class PaperRemote:
    """The way to a host on paper. `calls`: after so many it breaks; `behind`: when that one is
    done already, and nobody hears of it.
    """

    def __init__(self, host: PaperHost, calls: int = 1 << 30, *, behind: bool = False) -> None:
        self.name = "h1"
        self.host = host
        self.commands: list[Sequence[str]] = []
        self._left = calls
        self._behind = behind

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        def work() -> tuple[int, str]:
            self.commands.append(argv)
            return self.host.do(argv, stdin)

        code, said = self._reach(work)
        out, err = (said, "") if code == 0 else ("", said)
        return Completed(tuple(argv), code, out.encode(), err.encode())

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        node = self._reach(lambda: self.host.tree.get(path))
        return node.content if node else None

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        self._reach(lambda: self.host.put(path, Node("file", content, mode)))

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        self._reach(lambda: self.host.put(path, Node("file", b"wheel", mode)))

    async def close(self) -> None:
        """Nothing is open."""

    def _reach(self, work: Callable[[], T]) -> T:
        self._left -= 1
        if self._left == 0 and self._behind:
            work()
        if self._left <= 0:
            raise SwarmError(Code.UNAVAILABLE, "the connection to h1 is lost")
        return work()
