from overlay_net.fabric.rules import Way, text


def test_nothing_to_do_removes_the_table() -> None:
    assert text([]) == "add table inet swarm-fabric\ndelete table inet swarm-fabric\n"


def test_each_subnet_has_its_way_out_and_none_to_another_bridge() -> None:
    written = text(
        [
            Way("swb-a", "10.5.0.0/24", internal=False),
            Way("swb-a", "fd05::/64", internal=False),
            Way("swb-b", "10.6.0.0/24", internal=True),
        ]
    )
    assert written.startswith(text([]))
    assert (
        'iifname { "swb-a", "swb-b" } oifname { "swb-a", "swb-b" } ct status & dnat == 0 drop'
        in written
    )
    assert 'ip saddr 10.5.0.0/24 oifname != "swb-a" masquerade' in written
    assert 'ip6 saddr fd05::/64 oifname != "swb-a" masquerade' in written
    assert "10.6.0.0" not in written
    assert written.count('oifname "swb-b" drop') == 1
    assert written.count("{") == written.count("}")
