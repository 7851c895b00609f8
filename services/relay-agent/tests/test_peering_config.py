"""Peerings as BIRD's configuration: what is written, what is refused, and that no text gets in unchecked."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest
from altnet.common.contracts.routing import Family, Peering, PrefixRule
from altnet.common.errors import Invalid
from altnet.common.seal import seal
from altnet.relay_agent.bird.config import render, shown
from altnet.relay_agent.bird.neighbours import is_neighbour, open_password, password_context
from altnet.relay_agent.bird.peerings import Refusal, peering_name, render_peering
from altnet.relay_agent.bird.pieces import RoutingHost, RoutingRelay, peering_key, relay_key
from hypothesis import given
from hypothesis import strategies as st
from support.relays import PREFIX, key_of

HOST = RoutingHost(
    slot=1, network=PREFIX, links="altl", table=42186, bfd_interval=0.05, bfd_multiplier=3, restart_time=120
)
NARROW = PrefixRule(prefix="fd77::/16", shortest=32, longest=48)
KEY = key_of("me", "identity")


def peering(**fields: object) -> Peering:
    made = Peering(id="prg_1", name="upstream", address="fd00:bb::2", asn=65_010, imports=(NARROW,), exports=(NARROW,))
    return msgspec.structs.replace(made, **fields)


def whole(*peerings: Peering, password: str = "", host: RoutingHost = HOST) -> str:
    passwords = {peering_key(one.id): password for one in peerings}
    return render(host, relays={}, peerings={peering_key(one.id): one for one in peerings}, passwords=passwords).text


FULL = peering(
    families=(Family.IPV6, Family.IPV4),
    imports=(NARROW, PrefixRule(prefix="10.7.0.0/16", shortest=16, longest=24)),
    exports=(PrefixRule(prefix=str(PREFIX), shortest=48, longest=64),),
    bfd=True,
    ttl_security=True,
    passive=True,
    local_asn=65_001,
)
SORTS = {
    "all": FULL,
    "link-local": peering(address="fe80::2", interface="eth1.7"),
    "ipv4 far away": peering(
        address="192.0.2.7", source="192.0.2.1", families=(Family.IPV4,), imports=(), exports=(), multihop=4, bfd=True
    ),
    "no restart": peering(restart_time=0, imports=(PrefixRule(prefix="::/0", shortest=0, longest=0),)),
    "ipv6 far away": peering(families=(Family.IPV6, Family.IPV4), multihop=255),
    "bound to a source": peering(source="fd00:bb::1", hold_time=3, preference=65_535, import_limit=1_000_000),
}


@pytest.mark.parametrize("draining", [False, True])
def test_bird_takes_every_sort_of_peering(tmp_path: Path, draining: bool) -> None:
    told = [msgspec.structs.replace(one, id=f"prg_{number}") for number, one in enumerate(SORTS.values())]
    host = msgspec.structs.replace(HOST, draining=draining, sites=(ip_network("fd66::/48"), ip_network("10.8.0.0/16")))
    config = tmp_path / "bird.conf"
    config.write_text(whole(*told, password="a b#{};/*", host=host))

    done = subprocess.run(["bird", "-p", "-c", str(config)], check=False, capture_output=True, text=True, timeout=20)

    assert done.returncode == 0, done.stderr + done.stdout


def test_the_same_peerings_give_the_same_text_in_any_order() -> None:
    one, other = peering(), peering(id="prg_2", address="fd00:bb::3")

    assert whole(one, other) == whole(other, one)


def test_without_peerings_nothing_of_them_is_written() -> None:
    assert "MARTIANS" not in whole()


TEXTS = st.text(max_size=30) | st.sampled_from(
    ['x"; }\nprotocol static { route ::/0 unreachable; }', 'fe80::1%a";', "'", "eth0' as 1; #", "a\0b", "{", "\u2028\n"]
)


@given(
    identifier=TEXTS,
    name=TEXTS,
    address=TEXTS | st.just("fe80::2"),
    interface=TEXTS,
    source=TEXTS,
    prefix=TEXTS | TEXTS.map(lambda text: f"fd00::%{text}/64"),
    password=TEXTS,
)
def test_no_text_of_a_document_gets_into_the_configuration_unchecked(
    identifier: str, name: str, address: str, interface: str, source: str, prefix: str, password: str
) -> None:
    allowed = re.compile(r"[\x20-\x7e]*\Z")
    fields = [
        {"id": identifier, "name": name},
        {"address": address, "interface": interface},
        {"source": source},
        {"imports": (PrefixRule(prefix=prefix, shortest=48, longest=48),)},
        {"exports": (PrefixRule(prefix=prefix, shortest=48, longest=48),)},
    ]
    benign = render_peering(HOST, peering()).count("\n")
    for change in fields:
        try:
            text = render_peering(HOST, peering(**change))
        except Invalid:
            continue
        assert text.count("\n") == benign
        code = [line for line in text.split("\n") if not line.startswith("# ")]
        assert all(allowed.match(line) for line in code)
        assert "".join(code).count("{") == "".join(code).count("}")
    try:
        text = render_peering(HOST, peering(), password=password)
    except Invalid:
        assert password
        return
    assert text.count("\n") == benign + bool(password)
    assert text.count('"') == (4 if password else 2), "those of the identifier in its comment, and of the password"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "router.example"}, "address"),
        ({"address": "ff02::1"}, "address"),
        ({"address": "::ffff:10.0.0.1"}, "address"),
        ({"address": "fd42:1337:beef::2"}, "address"),
        ({"address": "fe80::2"}, "interface"),
        ({"interface": "eth1"}, "interface"),
        ({"address": "fe80::2", "interface": "altl7"}, "interface"),
        ({"address": "fe80::2", "interface": "altm0"}, "interface"),
        ({"source": "10.0.0.1"}, "source"),
        ({"families": ()}, "families"),
        ({"asn": 4_200_000_001}, "asn"),
        ({"local_asn": 65_010}, "asn"),
        ({"imports": (PrefixRule(prefix="fd77::/48", shortest=32, longest=48),)}, "imports/0"),
        ({"exports": (PrefixRule(prefix="10.0.0.0/8", shortest=8, longest=64),)}, "exports/0"),
        ({"exports": (PrefixRule(prefix="fd77::1/48", shortest=48, longest=48),)}, "exports/0/prefix"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        render_peering(HOST, peering(**change))

    assert refusal.value.field == f"/peerings/prg_1/{field}"


def test_a_default_route_needs_a_rule_that_names_exactly_it() -> None:
    wide = PrefixRule(prefix="::/0", shortest=0, longest=64)
    exact = PrefixRule(prefix="::/0", shortest=0, longest=0)
    line = f"net.len = 0 then {{ altnet_refused = {int(Refusal.DEFAULT_ROUTE)}; reject; }}"

    assert line in render_peering(HOST, peering(imports=(wide,)))
    assert line not in render_peering(HOST, peering(imports=(wide, exact)))


def test_without_rules_everything_is_refused_both_ways() -> None:
    text = render_peering(HOST, peering(imports=(), exports=()))

    assert f"if true then {{ altnet_refused = {int(Refusal.NOT_IN_RULES)}; reject; }}" in text
    assert "_out6 { reject; }" in text


def test_sites_of_other_relays_are_marked_and_our_own_are_ours() -> None:
    other = RoutingRelay(
        slot=2, session=True, origins=(ip_network("fd88::/48"), ip_network("fd42:1337:beef:1001::7/128"))
    )
    host = msgspec.structs.replace(HOST, sites=(ip_network("fd66::/48"),))

    text = render(host, relays={relay_key("b"): other}).text
    sites = text[text.index("protocol static rights_sites6") :]
    sites = sites[: sites.index("}\n}") if "}\n}" in sites else sites.index("\n}")]

    assert "route fd88::/48 max 128 as 4200000002;" in sites
    assert "route fd66::/48 max 128 as 4200000001;" in sites
    assert "fd42" not in sites, "addresses inside the network are nobody's to bring in"


def test_a_password_is_for_bird_alone() -> None:
    one, other = whole(peering(), password="hunter two"), whole(peering(), password="hunter three")

    assert 'password "hunter two";' in one
    assert "hunter" not in shown(one)
    assert 'password "<hidden>";' in shown(one)
    mark = re.compile(r'ALTNET_MARK = "(\w+)"')
    assert mark.findall(one) == mark.findall(other), "the mark that people see lets nobody try passwords"
    changed = whole(peering(password="sealed anew"), password="hunter two")
    assert mark.findall(changed) != mark.findall(one), "a new seal is a new configuration"


def sealed(plain: bytes, *, relay: str = "rly_me", peering: str = "prg_1") -> str:
    return seal(plain, to=KEY.public(), context=password_context(relay=relay, peering=peering))


def test_a_sealed_password_opens_for_its_relay_and_peering_alone() -> None:
    assert open_password(peering(), relay="rly_me", key=KEY) == ""
    assert open_password(peering(password=sealed(b"hunter two")), relay="rly_me", key=KEY) == "hunter two"
    for wrong in (sealed(b"x", relay="rly_other"), sealed(b"x", peering="prg_2"), "AAAA", "not base64"):
        with pytest.raises(Invalid, match="does not open") as refusal:
            open_password(peering(password=wrong), relay="rly_me", key=KEY)
        assert refusal.value.field == "/peerings/prg_1/password"


@pytest.mark.parametrize("plain", [b"", b" qq", b"qq ", b'q"q', b"q\\q", b"q\nq", b"\xff", b"q" * 81])
def test_a_password_that_bird_cannot_have_is_refused_and_not_repeated(plain: bytes) -> None:
    with pytest.raises(Invalid, match="not one that BIRD") as refusal:
        open_password(peering(password=sealed(plain)), relay="rly_me", key=KEY)

    assert "q" not in str(refusal.value).replace("quotation", "")


def test_names_of_sessions_follow_from_identifiers_and_differ() -> None:
    names = {peering_name(f"prg_{number}") for number in range(1000)}

    assert len(names) == 1000
    assert all(re.fullmatch(r"p[0-9a-f]{12}", name) for name in names)


@given(address=TEXTS, interface=TEXTS)
def test_who_is_no_neighbour_gets_no_way_through_the_firewall(address: str, interface: str) -> None:
    one = peering(address=address, interface=interface)
    if is_neighbour(one):
        assert re.fullmatch(r"[0-9a-f:.]+", one.address.lower())
        assert re.fullmatch(r"[\w.-]*", interface, re.ASCII)
