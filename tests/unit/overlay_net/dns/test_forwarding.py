"""Questions that are not ours, and name servers that are good, slow, dead, or liars."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from overlay_net.dns.server import DnsServer, Sandbox
from overlay_net.dns.upstreams import MAX_PER_CONTAINER
from tests.support.dns_box import (
    PATIENCE,
    ask_tcp,
    ask_udp,
    client,
    name_server,
    namespaces,
    run,
    serving,
)
from tests.support.dns_messages import A, Message, answer, question, read, record, soa
from tests.support.dns_networks import network, service
from tests.support.manual_clock import ManualClock
from tests.support.until import until

pytestmark = pytest.mark.root

GOOD = record("example.com", A, 60, bytes([192, 0, 2, 1]))
BAD = record("example.com", A, 60, bytes([192, 0, 2, 66]))

Answers = Callable[[bytes], list[bytes]]


@pytest.fixture(scope="module")
def spaces() -> Iterator[dict[str, Path]]:
    with namespaces("a", "b") as made:
        yield made


async def attached(server: DnsServer, *sandboxes: Sandbox) -> None:
    server.directory.put_network(network("front"))
    server.directory.put_network(network("hidden", "10.0.3.0/24", internal=True))
    server.directory.put_service(service("front", "web", ["10.0.1.2"]))
    for sandbox in sandboxes:
        await server.attach(sandbox)


async def asked(inside: Path, name: str = "Example.com", ident: int = 0x1234) -> Message:
    return read(await ask_udp(inside, question(name, ident=ident)))


def truth(data: bytes) -> list[bytes]:
    return [answer(data, [GOOD])]


def other(data: bytes) -> list[bytes]:
    return [answer(data, [BAD])]


def another_id(data: bytes) -> list[bytes]:
    wrong = bytes([data[0] ^ 1, data[1]])
    return [answer(wrong + data[2:], [BAD])]


def another_question(data: bytes) -> list[bytes]:
    return [answer(question("example.org", ident=int.from_bytes(data[:2], "big")), [BAD])]


def the_question(data: bytes) -> list[bytes]:
    return [data]


def garbage(data: bytes) -> list[bytes]:
    return [b"", b"x", data[:2] + b"\xff" * 40]


@pytest.mark.parametrize("lie", [another_id, another_question, the_question, garbage])
def test_a_lie_is_not_believed_and_the_truth_behind_it_is(
    spaces: dict[str, Path], tmp_path: Path, lie: Answers
) -> None:
    async def scenario() -> None:
        async with name_server(lambda data: lie(data) + truth(data)) as (upstream, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(s, Sandbox("a", spaces["a"], ("id-front",)))
                found = await asked(spaces["a"])
        assert (found.ident, found.name, found.addresses()) == (
            0x1234,
            "Example.com",
            ["192.0.2.1"],
        )
        assert len(upstream.asked) == 1

    run(scenario)


def test_nothing_but_lies_is_a_failure(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with name_server(lambda data: another_id(data) * 20) as (_, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(s, Sandbox("a", spaces["a"], ("id-front",)))
                found = await asked(spaces["a"])
        assert (found.rcode, found.answers) == (2, [])

    run(scenario)


@pytest.mark.parametrize("first", [lambda _: [], lambda data: [answer(data, [], rcode=5)], None])
def test_another_server_is_asked_after_one_that_is_silent_or_refuses_or_is_not_there(
    spaces: dict[str, Path], tmp_path: Path, first: Answers | None
) -> None:
    async def scenario() -> None:
        resolv = "nameserver 127.0.0.2\nnameserver 127.0.0.1\n"
        async with name_server(truth) as (good, port):
            with serving(tmp_path, ManualClock(), resolv=resolv, port=port) as server:
                await attached(server, Sandbox("a", spaces["a"], ("id-front",)))
                if first is None:
                    assert (await asked(spaces["a"])).addresses() == ["192.0.2.1"]
                    return
                async with name_server(first, at=("127.0.0.2", port)) as (bad, _):
                    assert (await asked(spaces["a"])).addresses() == ["192.0.2.1"]
                    assert (len(bad.asked), len(good.asked)) == (1, 1)
                    ids = {bad.asked[0][:2], good.asked[0][:2], b"\x12\x34"}
                    assert len(ids) == 3, "an id is used once"

    run(scenario)


def test_a_server_may_have_an_address_of_the_sixth_version(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with name_server(truth, at=("::1", 0)) as (_, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver ::1", port=port) as server:
                await attached(server, Sandbox("a", spaces["a"], ("id-front",)))
                assert (await asked(spaces["a"])).addresses() == ["192.0.2.1"]

    run(scenario)


def test_a_refusal_of_all_is_given_back(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with name_server(lambda data: [answer(data, [], rcode=5)]) as (upstream, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(s, Sandbox("a", spaces["a"], ("id-front",)))
                assert (await asked(spaces["a"])).rcode == 5
        assert len(upstream.asked) == 1

    run(scenario)


def test_answers_are_kept_as_long_as_they_say(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = ManualClock()
        async with name_server(truth) as (upstream, port):
            with serving(tmp_path, clock, resolv="nameserver 127.0.0.1", port=port) as server:
                await attached(
                    server,
                    Sandbox("a", spaces["a"], ("id-front",)),
                    Sandbox("b", spaces["b"], ("id-hidden", "id-front")),
                )
                assert (await asked(spaces["a"])).answers[0].ttl == 60
                clock.advance(59)
                again = await asked(spaces["b"], "EXAMPLE.com", 9)
                assert (again.ident, again.name) == (9, "EXAMPLE.com")
                assert again.answers[0].ttl == 1
                assert len(upstream.asked) == 1
                clock.advance(1)
                assert (await asked(spaces["a"])).answers[0].ttl == 60
                assert len(upstream.asked) == 2

    run(scenario)


def test_that_there_is_nothing_is_kept_too(spaces: dict[str, Path], tmp_path: Path) -> None:
    def nothing(data: bytes) -> list[bytes]:
        return [answer(data, [], rcode=3, authority=[soa("com", 900, 30)])]

    async def scenario() -> None:
        clock = ManualClock()
        async with name_server(nothing) as (upstream, port):
            with serving(tmp_path, clock, resolv="nameserver 127.0.0.1", port=port) as server:
                await attached(server, Sandbox("a", spaces["a"], ("id-front",)))
                for seconds, times in ((0, 1), (29, 1), (1, 2)):
                    clock.advance(seconds)
                    assert (await asked(spaces["a"])).rcode == 3
                    assert len(upstream.asked) == times

    run(scenario)


def test_what_the_hosts_file_says_now_counts(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = ManualClock()
        async with name_server(truth) as (_, port):
            with serving(tmp_path, clock, port=port) as server:
                await attached(server, Sandbox("a", spaces["a"], ("id-front",)))
                assert (await asked(spaces["a"])).rcode == 2
                assert (await asked(spaces["a"], "nobody")).rcode == 3
                assert (await asked(spaces["a"], "tasks.nobody")).rcode == 3
                (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
                clock.advance(1)
                assert (await asked(spaces["a"])).addresses() == ["192.0.2.1"]

    run(scenario)


def test_the_containers_own_servers_win_and_are_asked_from_inside(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            name_server(truth) as (outside, port),
            name_server(
                lambda data: [answer(data, [BAD])], at=("127.0.0.1", port), inside=spaces["a"]
            ) as (inside, _),
        ):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(
                    s,
                    Sandbox("a", spaces["a"], ("id-front",), ("127.0.0.11", "127.0.0.1")),
                    Sandbox("b", spaces["b"], ("id-front",)),
                )
                assert (await asked(spaces["a"])).addresses() == ["192.0.2.66"]
                assert (len(inside.asked), len(outside.asked)) == (1, 0)
                # Kept for that container alone.
                assert (await asked(spaces["b"])).addresses() == ["192.0.2.1"]

    run(scenario)


def test_no_question_leaves_an_internal_network(spaces: dict[str, Path], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with name_server(truth) as (upstream, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(
                    s,
                    Sandbox("a", spaces["a"], ("id-hidden",)),
                    Sandbox("b", spaces["b"], ("id-front",)),
                )
                assert (await asked(spaces["a"])).rcode == 3
                assert upstream.asked == []
                # Not even by what another container's question left.
                assert (await asked(spaces["b"])).rcode == 0
                assert (await asked(spaces["a"])).rcode == 3

    run(scenario)


def test_who_asks_too_much_hears_so_and_others_are_answered(
    spaces: dict[str, Path], tmp_path: Path
) -> None:
    async def scenario() -> None:
        silent = True
        async with name_server(lambda data: [] if silent else truth(data)) as (upstream, port):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(
                    s,
                    Sandbox("a", spaces["a"], ("id-front",)),
                    Sandbox("b", spaces["b"], ("id-front",)),
                )
                with client(spaces["a"]) as sock:
                    sock.connect(("127.0.0.11", 53))
                    for number in range(MAX_PER_CONTAINER + 1):
                        sock.send(question(f"x{number}.example"))
                    loop = asyncio.get_running_loop()
                    async with asyncio.timeout(PATIENCE):
                        refused = read(await loop.sock_recv(sock, 512))
                    assert (refused.rcode, refused.name) == (2, f"x{MAX_PER_CONTAINER}.example")
                    await until(lambda: len(upstream.asked) >= MAX_PER_CONTAINER)
                    silent = False
                    assert (await asked(spaces["b"])).addresses() == ["192.0.2.1"]
                    assert (await asked(spaces["a"], "web")).addresses() == ["10.0.1.2"]

    run(scenario)


def test_a_question_by_tcp_is_passed_on_by_tcp(spaces: dict[str, Path], tmp_path: Path) -> None:
    many = [GOOD] * 100

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        data = answer(await reader.readexactly(length), many)
        writer.write(len(data).to_bytes(2, "big") + data)
        writer.close()

    async def scenario() -> None:
        upstream = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        async with name_server(
            lambda data: [answer(data, [], flags=0x8380)], at=("127.0.0.1", port)
        ):
            with serving(tmp_path, ManualClock(), resolv="nameserver 127.0.0.1", port=port) as s:
                await attached(s, Sandbox("a", spaces["a"], ("id-front",)))
                assert (await asked(spaces["a"])).truncated
                for _ in range(2):  # asked, and kept
                    (data,) = await ask_tcp(spaces["a"], question("example.com"))
                    assert len(read(data).answers) == len(many)
        upstream.close()
        await upstream.wait_closed()

    run(scenario)
