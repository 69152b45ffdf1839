"""Which ports are open between hosts: on each somebody listens for a moment, and all others ask.

It takes nothing but perl-base, which every Debian has. What was started ends by itself, also when
the way to the host is lost. Ports that are taken already are left as they are.
"""

import asyncio
import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hostkit.together import together
from machine.remote import Remote

_LISTEN = r"""
use strict; use IO::Socket::IP; use IO::Select;
my ($nonce, $address, $seconds, @ports) = @ARGV;
$| = 1;
my ($all, %udp) = (IO::Select->new);
for my $port (@ports) {
    my ($protocol, $number) = split m{/}, $port;
    my @kind = $protocol eq 'tcp' ? (Listen => 64, ReuseAddr => 1) : ();
    my $socket;
    for my $host ($address, '::', '0.0.0.0') {
        $socket = IO::Socket::IP->new(
            LocalHost => $host, LocalPort => $number, Proto => $protocol, V6Only => 0, @kind);
        last if $socket || $!{EADDRINUSE};
    }
    if ($socket) {
        $socket->blocking(0);
        $all->add($socket);
        $udp{fileno $socket} = $protocol eq 'udp';
        print "listens $port\n";
    }
}
print "ready $$\n";
my $end = time + $seconds;
while (time < $end) {
    for my $socket ($all->can_read(0.5)) {
        if ($udp{fileno $socket}) {
            my $from = recv $socket, my $asked, 64, 0;
            send $socket, $nonce, 0, $from if defined $from && $asked eq $nonce;
        } elsif (my $caller = $socket->accept) {
            syswrite $caller, $nonce;
        }
    }
    print ".\n";  # nobody hears it any more: SIGPIPE
}
"""

_ASK = r"""
use strict; use IO::Socket::IP; use IO::Select;
my ($nonce, $seconds, $most, @goals) = @ARGV;
my $running = 0;
for my $goal (@goals) {
    if ($running == $most) { wait; $running--; }
    my $child = fork;
    die "fork: $!" unless defined $child;
    if ($child) { $running++; next; }
    my ($protocol, $number, $address) = split m{/}, $goal, 3;
    my $answer = asked($protocol, $number, $address);
    syswrite STDOUT, "$goal $answer\n";
    exit;
}
1 while wait > 0;

sub asked {
    my ($protocol, $number, $address) = @_;
    my $socket = IO::Socket::IP->new(
        PeerHost => $address, PeerPort => $number, Proto => $protocol, Timeout => $seconds);
    return $!{ECONNREFUSED} ? 'refused' : $!{ETIMEDOUT} ? 'silent' : lc "error $!" unless $socket;
    my $tries = $protocol eq 'udp' ? 3 : 1;
    for (1 .. $tries) {
        send $socket, $nonce, 0 if $protocol eq 'udp';
        next unless IO::Select->new($socket)->can_read($seconds / $tries);
        my $got = recv $socket, my $answer, 64, 0;
        return $!{ECONNREFUSED} ? 'refused' : lc "error $!" unless defined $got;
        return $answer eq $nonce ? 'open' : 'other';
    }
    return $protocol eq 'udp' ? 'silent' : 'other';
}
"""

_AT_ONCE = 32
"""Questions that one host asks at a time."""
_START = 30.0
"""Seconds for perl to begin, on a host that is busy."""


class Protocol(enum.Enum):
    """Of the Internet."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True)
class Port:
    """What others are to reach on a host."""

    number: int
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        return f"{self.protocol.value}/{self.number}"


@dataclass(frozen=True)
class Station:
    """A host, and the address at which the others are to reach it."""

    remote: Remote
    address: str


@dataclass(frozen=True)
class Closed:
    """A port of `goal` that `source` does not reach, and what it saw instead."""

    source: str
    goal: str
    address: str
    port: Port
    why: str


async def closed(
    stations: Sequence[Station], ports: Sequence[Port], *, nonce: str, patience: float = 3.0
) -> list[Closed]:
    """Every port that one host does not reach on another. Raises what Remote.run raises.

    `nonce`: some word that nobody else answers with; `patience`: seconds for one answer. A port
    of UDP that is taken on its host is passed over: nothing tells whether it was reached.
    """
    rounds = 1 + (len(stations) - 1) * len(ports) // _AT_ONCE
    limit = _START + 2 * patience * rounds
    listeners = [_Listener(each, ports, nonce, 2 * limit) for each in stations]
    answers: dict[str, str] = {}  # by the address of who asked

    async def ask(station: Station) -> None:
        goals = [f"{port}/{each.address}" for each in stations if each != station for port in ports]
        words = [nonce, f"{patience:g}", str(_AT_ONCE), *goals]
        done = await station.remote.run(["perl", "-e", _ASK, *words], timeout=limit)
        if done.code != 0:
            raise done.failure()
        answers[station.address] = done.text

    async def all_ask() -> None:
        await together(*(each.ready.wait() for each in listeners))
        await together(*(ask(each) for each in stations))
        await together(*(each.stop() for each in listeners))

    await together(all_ask(), *(each.run() for each in listeners))
    held = {each.station.address: frozenset(each.held) for each in listeners}
    return [
        each
        for station in stations
        for each in judged(station, stations, ports, held, answers[station.address])
    ]


def judged(
    source: Station,
    stations: Sequence[Station],
    ports: Sequence[Port],
    held: Mapping[str, Collection[str]],
    answers: str,
) -> list[Closed]:
    """What the answers that one host got mean. Pure. `held`: by address, where we listened."""
    words = [line.split(" ", 1) for line in answers.splitlines()]
    told = {each[0]: each[1] for each in words if len(each) == 2}  # noqa: PLR2004 - goal, answer
    found = []
    for goal in stations:
        for port in ports:
            if goal == source:
                continue
            answer = told.get(f"{port}/{goal.address}", "no answer is known")
            why = _why(answer, port, ours=str(port) in held[goal.address])
            if why:
                names = (source.remote.name, goal.remote.name)
                found.append(Closed(*names, goal.address, port, why))
    return found


def _why(answer: str, port: Port, *, ours: bool) -> str:
    """Why the port is not reached; "" if it is, or if nothing can be told."""
    if answer == "open":
        return ""
    # Whoever has the port there speaks a language of his own, and over UDP may well be silent.
    if not ours and (answer == "other" or port.protocol is Protocol.UDP):
        return ""
    meanings = {
        "other": "somebody else answers at this address",
        "silent": "no answer: a firewall drops it, or the address is wrong",
        "refused": "refused: a firewall rejects it, or the address is another host's"
        if ours
        else "refused: what has the port there does not listen at this address",
    }
    return meanings.get(answer, answer)


class _Listener:
    """Listens on one host until it is stopped."""

    def __init__(self, station: Station, ports: Sequence[Port], nonce: str, seconds: float) -> None:
        self.station = station
        self.ready = asyncio.Event()
        self.held: set[str] = set()
        self._pid = ""
        self._stopping = False
        self._seconds = seconds
        self._words = [nonce, station.address, f"{seconds:.0f}", *map(str, ports)]

    async def run(self) -> None:
        argv = ["perl", "-e", _LISTEN, *self._words]
        done = await self.station.remote.run(
            argv, timeout=self._seconds + _START, limit=1 << 12, tell=self._hear
        )
        if not self._stopping:
            raise done.failure()

    async def stop(self) -> None:
        """Has `run` return."""
        self._stopping = True
        await self.station.remote.run(["kill", self._pid], timeout=_START)

    def _hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "ready" and rest.isdecimal():
            self._pid = rest
            self.ready.set()
        elif word == "listens":
            self.held.add(rest)
