from hypothesis import given, settings
from hypothesis import strategies as st

from overlay_net.dns.cache import OVERHEAD, Cache, key
from overlay_net.dns.message import parse
from overlay_net.dns.replies import Reply, read
from tests.support import dns_messages
from tests.support.dns_messages import AAAA, A, answer, question, record


def reply(name: str, ttl: int) -> Reply:
    asked = question(name, ident=1)
    return read(answer(asked, [record(name, A, ttl, bytes(4))]), parse(asked), 1)


def test_an_answer_is_kept_as_long_as_it_says() -> None:
    cache = Cache()
    cache.put("a", reply("a", 10), 100.0)
    for now, ttl in ((100.0, 10), (100.9, 10), (101.0, 9), (109.99, 1)):
        data = cache.get("a", now)
        assert data is not None
        assert dns_messages.read(data).answers[0].ttl == ttl
    assert cache.get("a", 110.0) is None
    assert (len(cache), cache.size) == (0, 0)


def test_a_later_answer_takes_the_place_of_an_earlier_one() -> None:
    cache = Cache()
    cache.put("a", reply("a", 10), 0.0)
    cache.put("a", reply("a", 20), 5.0)
    assert cache.get("a", 24.0) is not None
    cache.put("a", reply("a", 0), 24.0)
    assert cache.get("a", 24.0) is None
    assert cache.size == 0


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = Cache(entries=2)
    cache.put("a", reply("a", 10), 0.0)
    cache.put("b", reply("b", 10), 0.0)
    assert cache.get("a", 1.0) is not None
    cache.put("c", reply("c", 10), 1.0)
    assert cache.get("b", 1.0) is None
    assert cache.get("a", 1.0) is not None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5))))
def test_it_never_outgrows_its_bounds(steps: list[tuple[int, int, int]]) -> None:
    size = len(reply("n1", 1).data) + OVERHEAD
    cache = Cache(entries=5, size=3 * size)
    now = 0.0
    for number, ttl, later in steps:
        now += later
        cache.put(number, reply(f"n{number}", ttl), now)
        cache.get(number - 1, now)
        assert len(cache) <= 3
        assert cache.size == len(cache) * size


def test_what_has_the_same_answer() -> None:
    base = key("", parse(question("web")), False)
    assert key("", parse(question("WEB", ident=9)), False) == base
    different = [
        key("", parse(question("web")), True),
        key("t1", parse(question("web")), False),
        key("", parse(question("web", AAAA)), False),
        key("", parse(question("web", edns=1232)), False),
        key("", parse(question("web", flags=0x0110)), False),
        key("", parse(question("web2")), False),
    ]
    assert len({base, *different}) == 1 + len(different)
