import pytest

from manager.ca.limiter import Bucket, RateLimiter, address_of_peer


def test_a_burst_is_admitted_and_then_the_rate() -> None:
    limiter = RateLimiter(rate=2, burst=3)
    assert [limiter.wait("a", 100.0) for _ in range(3)] == [0, 0, 0]
    assert limiter.wait("a", 100.0) == pytest.approx(0.5)
    assert limiter.wait("a", 100.4) == pytest.approx(0.1)
    assert limiter.wait("a", 100.5) == 0
    assert limiter.wait("a", 100.5) == pytest.approx(0.5)


def test_a_refused_call_costs_nothing() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    assert limiter.wait("a", 0.0) == 0
    for _ in range(100):
        assert limiter.wait("a", 0.5) == pytest.approx(0.5)
    assert limiter.wait("a", 1.0) == 0


def test_quiet_fills_up_to_the_burst_and_no_further() -> None:
    limiter = RateLimiter(rate=1, burst=2)
    limiter.wait("a", 0.0)
    admitted = [limiter.wait("a", 1e6) == 0 for _ in range(4)]
    assert admitted == [True, True, False, False]


def test_addresses_do_not_share() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    assert limiter.wait("a", 0.0) == limiter.wait("b", 0.0) == 0
    assert limiter.wait("a", 0.0) > 0


def test_a_clock_that_stands_still_or_goes_back_admits_nobody() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    limiter.wait("a", 10.0)
    assert limiter.wait("a", 10.0) > 0
    assert limiter.wait("a", 5.0) > 0


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    limiter = RateLimiter(rate=0.001, burst=1, addresses=10)
    assert limiter.wait("busy", 0.0) == 0
    for number in range(100):
        assert limiter.wait(f"stranger-{number}", 1.0) == 0
        assert limiter.wait("busy", 1.0) > 0
    assert limiter.wait("stranger-0", 1.0) == 0


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.9:4711", "10.0.0.9"),
        ("ipv6:%5Bfd00:1:2:3:4:5:6:7%5D:4711", "fd00:1:2:3::/64"),
        ("ipv6:[fd00:1:2:3::9]:4711", "fd00:1:2:3::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4711", "fe80::/64"),
        ("unix:", "unix:"),
        ("ipv6:junk", "ipv6:junk"),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    assert address_of_peer(peer) == address


def test_all_together_have_a_bucket_of_their_own() -> None:
    bucket = Bucket(rate=2, burst=2)
    assert [bucket.wait(50.0) for _ in range(3)] == [0, 0, pytest.approx(0.5)]
    assert bucket.wait(50.5) == 0
