"""Liveness, selection, names, tokens, endpoints, rate limits, configuration files: the small rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address

import pytest
from altnet.common.errors import Invalid
from altnet.common.ids import JOIN_TOKEN, new_id
from altnet.common.keys import PrivateKey
from altnet.registry.domain.endpoints import check_endpoints, split_endpoint
from altnet.registry.domain.liveness import Health, Liveness, LivenessRule
from altnet.registry.domain.names import check_labels, check_name, name_from
from altnet.registry.domain.ratelimit import RateLimit, RateRule
from altnet.registry.domain.selection import Candidate, choose, rank
from altnet.registry.domain.tokens import TokenVerdict, judge, make_token, read_token
from altnet.registry.domain.wgquick import PLACEHOLDER, Tunnel, access_endpoint, render
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RULE = LivenessRule()


def heard(one: Liveness, now: float) -> Health | None:
    transition = one.heard(now, RULE)
    return transition.after if transition else None


def checked(one: Liveness, now: float) -> Health | None:
    transition = one.check(now, RULE)
    return transition.after if transition else None


def test_one_lost_heartbeat_changes_nothing_two_are_late_four_are_down() -> None:
    one = Liveness(Health.NEW, 0)
    assert heard(one, 5) is Health.UP
    assert checked(one, 5 + 12) is None
    assert checked(one, 5 + 12.5) is Health.LATE
    assert checked(one, 5 + 22) is None
    assert checked(one, 5 + 22.5) is Health.DOWN
    assert checked(one, 500) is None


def test_a_relay_comes_back_with_the_second_good_heartbeat() -> None:
    one = Liveness(Health.DOWN, 0)
    assert heard(one, 100) is None
    assert heard(one, 105) is Health.UP


def test_a_fast_heartbeat_still_takes_fifteen_seconds_of_silence() -> None:
    rule = LivenessRule(interval=0.5)
    one = Liveness(Health.UP, 0)
    assert one.check(2, rule) is not None
    assert one.check(14.9, rule) is None
    assert one.check(15, rule) is not None


def test_silence_that_nobody_listened_to_is_pardoned() -> None:
    one = Liveness(Health.UP, 0)
    one.pardon(100)
    assert checked(one, 110) is None


@given(st.lists(st.floats(min_value=0.1, max_value=40), max_size=60))
def test_health_only_moves_along_its_arrows(gaps: list[float]) -> None:
    arrows = {(Health.UP, Health.LATE), (Health.LATE, Health.DOWN), (Health.LATE, Health.UP), (Health.DOWN, Health.UP)}
    one, now = Liveness(Health.UP, 0), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        before = one.health
        transition = one.heard(now, RULE) if number % 3 else one.check(now, RULE)
        if transition:
            assert (before, transition.after) in arrows


def candidate(name: str, **more: object) -> Candidate:
    known: dict[str, object] = {
        "relay": name,
        "name": name,
        "region": "",
        "health": Health.UP,
        "draining": False,
        "reachable": True,
        "clients": 0,
    }
    return Candidate(**{**known, **more})  # type: ignore[arg-type]


def test_relays_that_are_down_draining_or_unreachable_come_last_with_the_reason() -> None:
    ranked = rank(
        [
            candidate("down", health=Health.DOWN),
            candidate("draining", draining=True),
            candidate("hidden", reachable=False),
            candidate("off", weight=0.0),
            candidate("good", region="us"),
        ],
        region="eu",
    )
    assert ranked[0].relay == "good"
    assert [one.usable for one in ranked] == [True, False, False, False, False]
    assert all(one.reasons[0].startswith("not usable") for one in ranked[1:])


def test_a_crowded_relay_gives_way_to_a_farther_one() -> None:
    near, far = candidate("near", clients=90), candidate("far", clients=10)
    assert rank([near, far], latencies={"near": 10, "far": 18})[0].relay == "far"


def test_a_busy_host_gives_way_to_a_farther_one_and_says_why() -> None:
    idle, busy = candidate("near", load=0.0), candidate("near", load=2.0)
    far = candidate("far")
    latencies = {"near": 10.0, "far": 18.0}

    assert rank([idle, far], latencies=latencies)[0].relay == "near"
    first, second = rank([busy, far], latencies=latencies)

    assert (first.relay, second.relay) == ("far", "near")
    assert second.parts["host"] == 2.0, "latency counts (1 + load / 2) fold"
    assert "host load 2.00 per processor" in second.reasons
    assert choose([busy, far], latencies=latencies).relay == "far"


def test_a_busy_host_does_not_lose_the_clients_that_it_has() -> None:
    both = [candidate("mine", load=3.0), candidate("other")]
    assert rank(both, latencies={"mine": 10, "other": 11}, current="mine")[0].relay == "mine"


def test_a_client_keeps_its_relay_unless_another_is_much_faster() -> None:
    both = [candidate("mine"), candidate("other")]
    assert rank(both, latencies={"mine": 30, "other": 22}, current="mine")[0].relay == "mine"
    assert rank(both, latencies={"mine": 30, "other": 12}, current="mine")[0].relay == "other"
    assert rank(both, latencies={"mine": 9, "other": 3}, current="mine")[0].relay == "mine"


@given(st.lists(st.floats(min_value=1, max_value=200), min_size=2, max_size=8, unique=True))
def test_with_equal_load_the_nearest_is_best(latencies: list[float]) -> None:
    named = {f"r{number}": value for number, value in enumerate(latencies)}
    ranked = rank([candidate(name) for name in named], latencies=named)
    assert [one.relay for one in ranked] == sorted(named, key=lambda name: (round(named[name], 3), name))


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a.b", "a_b", "ä", "a" * 64, "xn--a", "a\n"])
def test_what_is_no_dns_label_is_no_name(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert caught.value.field == "/name"


@given(st.text(max_size=100))
def test_a_name_made_of_any_text_is_a_name_or_nothing(text: str) -> None:
    made = name_from(text)
    assert made is None or made[2:4] == "--" or check_name(made) == made


def test_a_bad_label_is_named_by_its_pointer() -> None:
    with pytest.raises(Invalid) as caught:
        check_labels({"rack/row": "no spaces"})
    assert caught.value.field == "/labels/rack~1row"


def test_a_join_token_proves_itself_and_no_other() -> None:
    identifier = new_id(JOIN_TOKEN, NOW)
    text, digest = make_token(identifier)
    shown = read_token(text)
    assert shown.id == identifier
    assert shown.proves(digest)
    assert not read_token(make_token(identifier)[0]).proves(digest)
    assert digest.hex() not in repr(shown)


@pytest.mark.parametrize(
    "text", ["", "altj", "altj_x_y", "alt_" + "0" * 26 + "_x", "altj_" + "0" * 26 + "_", "altj_a_b_c"]
)
def test_what_is_no_join_token_is_refused_before_any_look_up(text: str) -> None:
    with pytest.raises(Invalid):
        read_token(text)


def test_the_strongest_reason_against_a_token_is_told() -> None:
    past = NOW - timedelta(seconds=1)
    assert judge(uses_left=0, expires_at=past, revoked=True, now=NOW) is TokenVerdict.REVOKED
    assert judge(uses_left=0, expires_at=past, revoked=False, now=NOW) is TokenVerdict.EXPIRED
    assert judge(uses_left=0, expires_at=NOW + timedelta(1), revoked=False, now=NOW) is TokenVerdict.USED
    assert judge(uses_left=1, expires_at=NOW + timedelta(1), revoked=False, now=NOW) is TokenVerdict.USABLE


ODD = "|x|x:|:1|x:0|x:65536|x:1x|::1:5|[::1]|[x]:1|a b:1|0.0.0.0:1|[ff02::1]:1|300.1.1.1:5|[fe80::1%eth0]:1"


@pytest.mark.parametrize("text", ODD.split("|"))
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        split_endpoint(text)


def test_endpoints_are_kept_in_order_once_and_in_one_spelling() -> None:
    said = ["Relay.Example:1", "[2001:DB8:0::1]:2", "relay.example:1"]
    assert check_endpoints(said) == ("relay.example:1", "[2001:db8::1]:2")
    assert access_endpoint(["[2001:db8::1]:51820"], 99) == "[2001:db8::1]:99"


def test_a_source_that_asks_too_often_waits_and_many_sources_cost_bounded_memory() -> None:
    limit = RateLimit(RateRule(burst=3, per_second=1, sources=100))
    assert [limit.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert limit.take("a", 0) == pytest.approx(1)
    assert limit.take("a", 1.01) == 0
    for number in range(1000):
        limit.take(f"s{number}", 2)
    assert len(limit) == 100


def test_the_configuration_file_hides_what_the_server_does_not_know() -> None:
    relay_key = PrivateKey.generate().public()
    tunnel = Tunnel(
        name="phone",
        addresses=[IPv6Address("fd00::1"), IPv6Address("fd00::2")],
        relay_name="berlin",
        relay_key=relay_key,
        endpoint="relay.example:51830",
        dns=IPv6Address("fd00::53"),
        search="alt",
        mtu=1280,
        keepalive=25,
        routes=("fd00::/48", "10.0.0.0/8"),
    )
    text = render(tunnel)
    assert f"PrivateKey = {PLACEHOLDER}" in text
    assert "Address = fd00::1/128, fd00::2/128" in text
    assert "AllowedIPs = fd00::/48, 10.0.0.0/8" in text
    assert "DNS = fd00::53, alt" in text
    assert PLACEHOLDER not in render(tunnel, PrivateKey.generate())
