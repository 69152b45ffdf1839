"""A writer that behaves as a database does, and a reader that finds out what it lost.

The writer appends numbered lines with a checksum to /data/log, syncs each, and only then
acknowledges it, in a folder that never fails. It begins where the log ends.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

WRITER = r"""
trap 'exit 0' TERM
log=/data/log ack=/acks/$(hostname)
touch $log
last=$(tail -n 1 $log); n=${last%% *}; [ -n "$n" ] || n=0
[ -z "$last" ] || [ "$(tail -c 1 $log)" = "" ] || echo >>$log
while :; do
  n=$((n + 1)); text="$n $(hostname)"; sum=$(echo "$text" | md5sum); sum=${sum%% *}
  echo "$text $sum" >>$log && sync $log || exit 3
  echo "$text $(cut -d' ' -f1 /proc/uptime)" >>$ack
  sleep 0.05
done
"""
"""For a shell of busybox. Each task has a host name of its own, which is the writer's name."""


@dataclass(frozen=True)
class Record:
    """One line of the log."""

    number: int
    writer: str


@dataclass(frozen=True)
class Ack:
    """What a writer said is safe, and when: seconds since the machine was started."""

    number: int
    writer: str
    at: float


def records(log: Path) -> list[Record]:
    """The whole lines of the log; one that was being written when its writer died is none."""
    found = []
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in lines:
        text, _, checksum = line.rpartition(" ")
        if hashlib.md5(f"{text}\n".encode(), usedforsecurity=False).hexdigest() == checksum:
            number, writer = text.split(" ")
            found.append(Record(int(number), writer))
    return found


def acks(folder: Path) -> list[Ack]:
    """What all writers acknowledged, in order of time."""
    found = []
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            number, writer, at = line.split(" ")
            found.append(Ack(int(number), writer, float(at)))
    return sorted(found, key=lambda ack: ack.at)


def check(log: Path, folder: Path) -> list[str]:
    """The writers in their order. AssertionError if two of them wrote at a time, or if what was
    acknowledged is not there.
    """
    # In this order, for a writer may go on: what it has acknowledged by now is in the log.
    said = acks(folder)
    kept = records(log)
    missing = {(a.number, a.writer) for a in said} - {(r.number, r.writer) for r in kept}
    assert not missing, f"acknowledged and lost: {sorted(missing)[:5]}"
    numbers = [record.number for record in kept]
    assert len(set(numbers)) == len(numbers), "two writers gave the same number"
    assert numbers == sorted(numbers), "a writer went back"
    for name, order in (("log", [r.writer for r in kept]), ("acks", [a.writer for a in said])):
        assert len(_turns(order)) == len(set(order)), f"two writers took turns in the {name}"
    return _turns([record.writer for record in kept])


def _turns(writers: list[str]) -> list[str]:
    return [each for i, each in enumerate(writers) if i == 0 or writers[i - 1] != each]
