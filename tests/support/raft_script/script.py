"""The text of a scenario: commands, `----`, the transcript that they shall give, an empty line.

Reads and writes that text. It knows nothing of Raft, and never runs a command.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

RULE = "----"


class ScriptError(Exception):
    """A scenario that cannot be read, or a command that makes no sense."""


@dataclass(frozen=True, slots=True)
class Command:
    """`name word word key=value`. Words stand in order; a key stands once."""

    name: str
    words: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, line: str) -> "Command":
        name, *rest = shlex.split(line)
        words = [part for part in rest if "=" not in part]
        pairs = [part.split("=", 1) for part in rest if "=" in part]
        options = dict(pairs)
        if len(options) != len(pairs):
            raise ScriptError(f"a key stands twice: {line}")
        return cls(name, tuple(words), options)

    @property
    def member(self) -> int:
        """The first word, as the id of a member."""
        if not self.words:
            raise ScriptError(f"{self.name}: which member?")
        return int(self.words[0])

    @property
    def ids(self) -> list[int]:
        """All words that are numbers."""
        return [int(word) for word in self.words if word.isdigit()]

    def number(self, key: str, default: int | None = None) -> int:
        """The option as a number; ScriptError if it is missing and has no default."""
        if key in self.options:
            return int(self.options[key])
        if default is None:
            raise ScriptError(f"{self.name}: {key}= is missing")
        return default

    def numbers(self, key: str) -> list[int]:
        """The option `key=1,2,3`; empty if it is missing."""
        return [int(part) for part in self.options.get(key, "").split(",") if part]


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two empty lines: remarks alone, or commands and their transcript."""

    head: tuple[str, ...]  # remarks and commands, as they were written
    expected: tuple[str, ...] | None  # None: remarks alone

    @property
    def commands(self) -> list[Command]:
        return [Command.parse(line) for line in self.head if not line.startswith("#")]

    def text(self, transcript: Sequence[str]) -> str:
        """The block with another transcript."""
        if self.expected is None:
            return "\n".join(self.head)
        return "\n".join([*self.head, RULE, *transcript])


def parse(text: str) -> list[Block]:
    """The blocks of a scenario. ScriptError if commands lack their rule."""
    blocks = []
    for part in text.strip("\n").split("\n\n"):
        lines = part.strip("\n").split("\n")
        if RULE in lines:
            at = lines.index(RULE)
            blocks.append(Block(tuple(lines[:at]), tuple(lines[at + 1 :])))
            continue
        if not all(line.startswith("#") for line in lines):
            raise ScriptError(f"commands without {RULE}: {lines[0]}")
        blocks.append(Block(tuple(lines), None))
    return blocks


def write(blocks: Sequence[Block], transcripts: Sequence[Sequence[str]]) -> str:
    """The scenario with these transcripts, one for each block."""
    parts = [block.text(lines) for block, lines in zip(blocks, transcripts, strict=True)]
    return "\n\n".join(parts) + "\n"
