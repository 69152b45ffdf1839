from overlay_net.dns.upstreams import REST, Quota, Standing


def test_a_server_that_kept_silent_is_asked_last_for_a_while() -> None:
    standing = Standing()
    assert standing.order(["a", "b", "c"], 0.0) == ["a", "b", "c"]
    assert standing.silent("a", 0.0)
    assert not standing.silent("a", 0.5)
    assert standing.order(["a", "b", "c"], 1.0) == ["b", "c", "a"]
    assert standing.silent("b", 1.0)
    assert standing.order(["a", "b", "c"], 1.0) == ["c", "a", "b"]
    standing.answered("a")
    assert standing.order(["a", "b", "c"], 1.0) == ["a", "c", "b"]
    assert standing.order(["a", "b", "c"], 1.0 + REST) == ["a", "b", "c"]
    assert standing.silent("b", 1.0 + REST)


def test_a_container_takes_no_more_than_its_share() -> None:
    quota = Quota(whole=5, each=3)
    assert [quota.take("a") for _ in range(4)] == [True, True, True, False]
    assert [quota.take("b") for _ in range(3)] == [True, True, False]
    quota.give("a")
    assert quota.take("b")
    assert not quota.take("a")
    for container in ("a", "a", "b", "b", "b"):
        quota.give(container)
    assert [quota.take("c") for _ in range(4)] == [True, True, True, False]
