"""The figure dns_qps: questions a second that a container's DNS server answers.

Server and client are a process each; the client is inside the container's network namespace and
asks 127.0.0.11:53, so that the kernel's redirection is part of it. Needs no lab.
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.dns_server import READY, SERVICES, TASKS
from benchmarks.figure import Measured
from hostkit import netns

NAME = f"bench-dns-{os.getpid()}"
NAME_SERVER = ("127.0.0.11", 53)
OUTSTANDING = 32
QUESTIONS = 100_000
RUNS = 5
_LOST = struct.pack("ll", 5, 0)
_TICKS = os.sysconf("SC_CLK_TCK")


def measure() -> Measured:
    """Names of services; beside it names of tasks, one question at a time, and the server's CPU."""
    with _server() as (server, inside):
        services = [f"s{n}" for n in range(SERVICES)]
        tasks = [f"tasks.{name}" for name in services]
        runs = []
        cpu = _cpu(server)
        for _ in range(RUNS):
            runs.append(_rate(inside, services, OUTSTANDING, answers=1))
        cpu_us = 1e6 * (_cpu(server) - cpu) / (RUNS * QUESTIONS)
        beside = {
            "server_cpu_us": cpu_us,
            "tasks_names": _rate(inside, tasks, OUTSTANDING, answers=TASKS),
            "one_at_a_time": _rate(inside, services, 1, answers=1),
        }
    return Measured(runs, beside)


def _rate(inside: Path, names: list[str], outstanding: int, *, answers: int) -> float:
    """Answers a second; each is looked at, and a lost one fails the run."""
    return netns.call_in(inside, lambda: _ask(names, outstanding, answers))


def _ask(names: list[str], outstanding: int, answers: int) -> float:
    questions = [question(name, ident) for ident, name in enumerate(names)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # The kernel's own limit: a Python timeout would cost a system call more each time.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LOST)
        sock.connect(NAME_SERVER)
        for each in questions:  # once, so that all is as in a swarm that has run for a while
            sock.send(each)
            sock.recv(512)
        send, receive, kinds = sock.send, sock.recv, len(questions)
        begun = time.perf_counter()
        for number in range(outstanding):
            send(questions[number % kinds])
        for number in range(outstanding, QUESTIONS + outstanding):
            answer = receive(512)
            assert answer[3] == 0x80, "no good answer"
            assert answer[7] == answers, "not all records"
            if number < QUESTIONS:
                send(questions[number % kinds])
        return QUESTIONS / (time.perf_counter() - begun)


def question(name: str, ident: int = 7) -> bytes:
    """Asks for the IPv4 addresses of a name."""
    labels = (label.encode() for label in name.split("."))
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + wire + b"\0\0\1\0\1"


@contextlib.contextmanager
def _server() -> Iterator[tuple[int, Path]]:
    netns.create(NAME)
    inside = netns.path(NAME)
    try:
        up = ["nsenter", f"--net={inside}", "ip", "link", "set", "lo", "up"]
        subprocess.run(up, check=True)
        command = [sys.executable, "-m", "benchmarks.dns_server", str(inside)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == READY, "the server did not begin"
                yield process.pid, inside
            finally:
                process.terminate()
    finally:
        netns.delete(NAME)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
