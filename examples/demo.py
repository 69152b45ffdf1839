"""`make demo`: a swarm on one machine, a service in a network of it, a worker lost and healed, the
leader lost.

Runs the very commands that a user would type and shows each before its output. `record FILE` also
writes what was seen as an SVG picture, for the README. Nothing here knows how the swarm works.
"""

import argparse
import io
import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
LAB = "lab"
NETWORK = "front"
SERVICE = "web"
REPLICAS = 6
PORT = 8080
IMAGE = "registry:5000/demo/web:1"
VICTIM = "w1"
LEADER, OTHER = "m1", "m2"
"""The first manager of a new swarm leads it."""
HOSTS = 6
HEAL_LIMIT = 90.0
_FETCH = ("busybox", "wget", "-qO-")


class Session:
    """A shell session that is shown while it runs, and remembered."""

    def __init__(self) -> None:
        self.transcript = io.StringIO()

    def say(self, text: str) -> None:
        """Shows a comment."""
        self._show(f"# {text}\n")

    def run(self, *arguments: str) -> str:
        """Shows and runs `swarmctl ARGUMENTS`; ends the demo if it fails."""
        self._show("$ swarmctl " + " ".join(arguments) + "\n")
        done = self._call(*arguments)
        self._show(done.stdout + "\n")
        if done.returncode != 0:
            sys.exit(f"{done.stderr}\nThe demo stopped. To remove what it made: make demo-down")
        return done.stdout

    def ask(self, *arguments: str) -> str:
        """The output of `swarmctl ARGUMENTS`, unseen."""
        return self._call(*arguments).stdout

    def _call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"COLUMNS": "110"}
        return subprocess.run(  # noqa: PLW1510 - the callers look at the result
            [BIN / "swarmctl", *arguments], capture_output=True, text=True, env=environment
        )

    def _show(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        self.transcript.write(text)


def up(session: Session) -> None:
    """The demo itself."""
    session.say("Three managers, three workers and a registry: seven hosts made of namespaces")
    session.run("lab", "up", "--managers", "3", "--workers", "3", "--heartbeat", "2")
    session.run(*at(LEADER), "node", "ls")
    session.say("A service of real containers, spread over the hosts, in a network of their own")
    session.run(*at(LEADER), "network", "create", NETWORK)
    create = ("service", "create", "--name", SERVICE, "--replicas", str(REPLICAS))
    session.run(*at(LEADER), *create, "--network", NETWORK, "--publish", f"{PORT}:80", IMAGE)
    session.run(*at(LEADER), "service", "ps", SERVICE)
    session.say("Each host answers for it, and within the network its name does; in turn")
    for host in (LEADER, VICTIM):
        session.run("lab", "exec", "w2", "--", *_FETCH, f"http://{host}:{PORT}")
    session.run(*at(LEADER), "service", "exec", SERVICE, "--", *_FETCH, f"http://{SERVICE}")
    _lose_worker(session)
    _lose_leader(session)
    sys.stdout.write(
        f"The swarm is up. Go on with: {BIN}/swarmctl --context {LAB}/{OTHER} service ls\n"
        "When you are done: make demo-down\n"
    )


def at(host: str) -> tuple[str, str]:
    """The arguments that speak to the daemon of a host of the lab."""
    return "--context", f"{LAB}/{host}"


def _lose_worker(session: Session) -> None:
    session.say(f"Power failure: {VICTIM} loses its link, then everything in it is killed")
    session.run("lab", "kill", VICTIM)
    lost = time.monotonic()  # noqa: TID251 - a script reads the clock
    _wait_until_healed(session, LEADER)
    took = time.monotonic() - lost  # noqa: TID251
    session.say(f"Healed after {took:.0f} s: its tasks run elsewhere")
    session.run(*at(LEADER), "service", "ps", SERVICE)


def _lose_leader(session: Session) -> None:
    session.say(f"The same with {LEADER}, the leader of the managers; {OTHER} is asked at once")
    session.run("lab", "kill", LEADER)
    lost = time.monotonic()  # noqa: TID251
    session.run(*at(OTHER), "service", "create", "-d", "--name", "next", "--replicas", "2", IMAGE)
    took = time.monotonic() - lost  # noqa: TID251
    session.say(f"Accepted after {took:.1f} s, by a new leader")
    session.run(*at(OTHER), "node", "ls")
    session.say(f"{LEADER} comes back, and follows")
    session.run("lab", "start", LEADER)
    _wait_until_healed(session, OTHER)
    session.run(*at(LEADER), "swarm", "status")
    session.run(*at(LEADER), "service", "ls")


def _wait_until_healed(session: Session, host: str) -> None:
    deadline = time.monotonic() + HEAL_LIMIT  # noqa: TID251
    while time.monotonic() < deadline:  # noqa: TID251
        status = session.ask(*at(host), "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
        counts = session.ask(*at(host), "service", "ls", "--format", "{{.Replicas}}").split()
        others_ready = status.count(" Ready") == HOSTS - 1
        if f"{VICTIM} Down" in status and others_ready and all(map(_is_full, counts)):
            return
        time.sleep(0.2)
    sys.exit(f"The service did not heal within {HEAL_LIMIT:.0f} s")


def _is_full(replicas: str) -> bool:
    running, wanted = replicas.split("/")
    return running == wanted


def record(session: Session, path: Path) -> None:
    """The transcript as an SVG picture of a terminal."""
    from rich.console import Console  # noqa: PLC0415 - only here
    from rich.text import Text  # noqa: PLC0415

    console = Console(record=True, width=112, file=io.StringIO())
    for line in session.transcript.getvalue().splitlines():
        style = "bold green" if line.startswith("$ ") else "cyan" if line.startswith("# ") else ""
        console.print(Text(line, style=style), no_wrap=True, crop=True)
    path.write_text(console.export_svg(title="swarmctl"))


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "record"])
    parser.add_argument("file", nargs="?", type=Path, default=Path("docs/demo.svg"))
    given = parser.parse_args()
    session = Session()
    if given.verb == "down":
        session.run("lab", "down")
        return
    up(session)
    if given.verb == "record":
        record(session, given.file)


if __name__ == "__main__":
    main()
